//! The porter: the one program of ours inside a container. It stands without libraries, so that it runs in any image.
//!
//! `porter serve` listens on the loopback of the container, and carries each connection over its own standard streams
//! to the agent, whose proxy answers there. `porter watch TOKEN COMMAND...` runs a command on a terminal, and tells who
//! waits at that terminal, by writing to it: the token parts that from what commands write, and the agent takes it out.
//! `porter try` tries what no command may do, and says what was not refused.
//!
//! It is compiled by `build.rs` beside it, and is no part of the crate. The language of `serve` is told in
//! `src/sandbox/docker/porter.rs`.

#![no_std]
#![no_main]
#![no_builtins]
#![deny(warnings)]

use core::{
    arch::{asm, global_asm},
    mem::zeroed,
    ptr::addr_of_mut,
};

// ---------------------------------------------------------------------------------------------- the kernel's door

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call begin");
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x0, sp", "bl begin");

#[cfg(target_arch = "x86_64")]
mod number {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const IOCTL: usize = 16;
    pub const SENDTO: usize = 44;
    pub const SHUTDOWN: usize = 48;
    pub const BIND: usize = 49;
    pub const LISTEN: usize = 50;
    pub const GETSOCKNAME: usize = 51;
    pub const SOCKET: usize = 41;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const SIGPROCMASK: usize = 14;
    pub const SIGTIMEDWAIT: usize = 128;
    pub const GETDENTS: usize = 217;
    pub const EXIT: usize = 231;
    pub const OPENAT: usize = 257;
    pub const STATAT: usize = 262;
    pub const PPOLL: usize = 271;
    pub const ACCEPT4: usize = 288;
    pub const KILL: usize = 62;
    pub const KEYCTL: usize = 250;
    pub const PERSONALITY: usize = 135;
    pub const UNSHARE: usize = 272;
    pub const NAME_TO_HANDLE: usize = 303;
    /// read, readv.
    pub const READS: [u64; 2] = [0, 19];
    /// poll, ppoll, select, pselect6, epoll_wait, epoll_pwait, epoll_pwait2.
    pub const POLLS: [u64; 7] = [7, 271, 23, 270, 232, 281, 441];
    /// Of `struct stat`.
    pub const RDEV: usize = 40;
    pub const DIRECTORY: usize = 0o200_000;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const CLOSE: usize = 57;
    pub const IOCTL: usize = 29;
    pub const SENDTO: usize = 206;
    pub const SHUTDOWN: usize = 210;
    pub const BIND: usize = 200;
    pub const LISTEN: usize = 201;
    pub const GETSOCKNAME: usize = 204;
    pub const SOCKET: usize = 198;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const WAIT4: usize = 260;
    pub const SIGPROCMASK: usize = 135;
    pub const SIGTIMEDWAIT: usize = 137;
    pub const GETDENTS: usize = 61;
    pub const EXIT: usize = 94;
    pub const OPENAT: usize = 56;
    pub const STATAT: usize = 79;
    pub const PPOLL: usize = 73;
    pub const ACCEPT4: usize = 242;
    pub const KILL: usize = 129;
    pub const KEYCTL: usize = 219;
    pub const PERSONALITY: usize = 92;
    pub const UNSHARE: usize = 97;
    pub const NAME_TO_HANDLE: usize = 264;
    /// read, readv.
    pub const READS: [u64; 2] = [63, 65];
    /// ppoll, pselect6, epoll_pwait, epoll_pwait2.
    pub const POLLS: [u64; 4] = [73, 72, 22, 441];
    /// Of `struct stat`.
    pub const RDEV: usize = 32;
    pub const DIRECTORY: usize = 0o40_000;
}

#[cfg(target_arch = "x86_64")]
fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    let result;
    // SAFETY: what a call may touch is what its arguments name; callers pass what lives.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}
#[cfg(target_arch = "aarch64")]
fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> isize {
    let result;
    // SAFETY: as above.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d,
             in("x4") e, in("x5") f, options(nostack));
    }
    result
}

fn exit(code: i32) -> ! {
    loop {
        call(number::EXIT, code as usize, 0, 0, 0, 0, 0);
    }
}

fn read(fd: i32, buffer: &mut [u8]) -> isize {
    call(number::READ, fd as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0)
}

fn write_all(fd: i32, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let count = call(number::WRITE, fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0);
        match count {
            INTR => {}
            1.. => bytes = bytes.get(count as usize..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

fn close(fd: i32) {
    call(number::CLOSE, fd as usize, 0, 0, 0, 0, 0);
}

/// `path` ends with a zero.
fn open(path: &[u8], flags: usize) -> i32 {
    call(number::OPENAT, HERE as usize, path.as_ptr() as usize, flags | CLOEXEC, 0, 0, 0) as i32
}

const HERE: isize = -100;
const CLOEXEC: usize = 0o2_000_000;
const NOCTTY: usize = 0o400;
const READ_WRITE: usize = 2;
const INTR: isize = -4;
const AGAIN: isize = -11;

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    for at in 0..count {
        unsafe { to.add(at).write(from.add(at).read()) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize) < from as usize {
        return unsafe { memcpy(to, from, count) };
    }
    for at in (0..count).rev() {
        unsafe { to.add(at).write(from.add(at).read()) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for at in 0..count {
        unsafe { to.add(at).write(byte as u8) };
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, count: usize) -> i32 {
    for at in 0..count {
        let (a, b) = unsafe { (one.add(at).read(), other.add(at).read()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(112)
}

/// `stack` is as the kernel made it: the count of arguments, the arguments, nothing, the environment, nothing.
#[unsafe(no_mangle)]
extern "C" fn begin(stack: *const usize) -> ! {
    // SAFETY: that is what the kernel puts there.
    let (count, args) = unsafe { (*stack, stack.add(1).cast::<*const u8>()) };
    // SAFETY: as above.
    let vars = unsafe { args.add(count + 1) };
    let arg = |at: usize| if at < count { text(unsafe { *args.add(at) }) } else { &[] };
    match arg(1) {
        b"serve" => serve(),
        b"try" => attack(),
        b"watch" if count > 3 => {
            // SAFETY: there are more than three.
            let command = unsafe { args.add(3) };
            watch(arg(2), command, vars)
        }
        _ => exit(2),
    }
}

/// Without its last zero.
fn text(from: *const u8) -> &'static [u8] {
    let mut count = 0;
    // SAFETY: arguments end with a zero, and live as long as this program.
    unsafe {
        while *from.add(count) != 0 {
            count += 1;
        }
        core::slice::from_raw_parts(from, count)
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Poll {
    fd: i32,
    events: i16,
    revents: i16,
}

const IN: i16 = 1;
const OUT: i16 = 4;

// ------------------------------------------------------------------------------------------------------- connections

/// Connections at once. More of them wait.
const SLOTS: usize = 256;
/// Bytes of one direction of a connection that are on their way at once.
const WINDOW: usize = 64 << 10;
/// Bytes of one piece at most.
const PIECE: usize = 16 << 10;
const HEAD: usize = 8;

/// Kinds of what is said: see `src/sandbox/docker/porter.rs`.
const HELLO: u8 = b'H';
const OPEN: u8 = b'O';
const DATA: u8 = b'D';
const END: u8 = b'E';
const STOP: u8 = b'S';
const CREDIT: u8 = b'C';

struct Slot {
    /// Below zero when it is closed.
    fd: i32,
    taken: bool,
    /// Which of the connections that had this place: words that come too late are another one's.
    generation: u8,
    /// Bytes that the agent takes before it says more.
    credit: usize,
    /// No more is read from the client, and the agent knows.
    end_said: bool,
    /// The agent says no more.
    end_heard: bool,
    /// The client takes no more: what comes for it is nobody's.
    deaf: bool,
    /// What waits for the client: a ring.
    start: usize,
    length: usize,
    ring: [u8; WINDOW],
}

struct Porter {
    slots: [Slot; SLOTS],
    /// One piece with its head, on its way out.
    out: [u8; HEAD + PIECE],
    polls: [Poll; SLOTS + 2],
    input: [u8; WINDOW],
    head: [u8; HEAD],
    head_length: usize,
    /// What the piece that is being read still has to bring.
    rest: usize,
}

/// All zeroes until it is used: pages that nobody touches cost nothing.
static mut PORTER: Porter = unsafe { zeroed() };

fn serve() -> ! {
    // SAFETY: there is one thread, which takes it once.
    let porter = unsafe { &mut *addr_of_mut!(PORTER) };
    for slot in &mut porter.slots {
        slot.fd = -1;
    }
    // An IPv4 stream that does not wait, on any address: the loopback is all there is.
    let listener = call(number::SOCKET, 2, 1 | CLOEXEC | 0o4000, 0, 0, 0, 0) as i32;
    let mut address = [0_u8; 16];
    address[0] = 2;
    let at = address.as_mut_ptr() as usize;
    if listener < 0
        || call(number::BIND, listener as usize, at, 16, 0, 0, 0) < 0
        || call(number::LISTEN, listener as usize, 128, 0, 0, 0, 0) < 0
    {
        exit(3);
    }
    let [_, _, high, low, ..] = name_of(listener);
    porter.say(HELLO, 0, &[high, low]);
    loop {
        porter.turn(listener);
    }
}

/// The address of a socket's own end.
fn name_of(fd: i32) -> [u8; 16] {
    let (mut address, mut length) = ([0_u8; 16], 16_u32);
    let (at, length_at) = (address.as_mut_ptr() as usize, &raw mut length as usize);
    call(number::GETSOCKNAME, fd as usize, at, length_at, 0, 0, 0);
    address
}

impl Porter {
    /// Waits until something can be done, and does it.
    fn turn(&mut self, listener: i32) {
        let mut room = false;
        for (poll, slot) in self.polls.iter_mut().skip(2).zip(&self.slots) {
            let mut events = 0;
            if slot.taken && slot.fd >= 0 {
                if !slot.end_said && slot.credit > 0 {
                    events |= IN;
                }
                if slot.length > 0 {
                    events |= OUT;
                }
            }
            room |= !slot.taken;
            // Where nothing is wanted, an end would be told again and again.
            *poll = Poll { fd: if events == 0 { -1 } else { slot.fd }, events, revents: 0 };
        }
        self.polls[0] = Poll { fd: 0, events: IN, revents: 0 };
        self.polls[1] = Poll { fd: if room { listener } else { -1 }, events: IN, revents: 0 };
        let at = self.polls.as_mut_ptr() as usize;
        if call(number::PPOLL, at, SLOTS + 2, 0, 0, 0, 0) < 0 {
            return;
        }
        for number in 0..SLOTS {
            let poll = self.polls[number + 2];
            if poll.fd < 0 || poll.revents == 0 {
                continue;
            }
            if poll.events & OUT != 0 {
                self.pass_on(number);
            }
            if poll.events & IN != 0 && poll.revents & !OUT != 0 {
                self.take_in(number);
            }
            self.settle(number);
        }
        if self.polls[1].revents != 0 {
            self.accept(listener);
        }
        if self.polls[0].revents != 0 {
            self.hear();
        }
    }

    fn accept(&mut self, listener: i32) {
        let Some(number) = self.slots.iter().position(|slot| !slot.taken) else { return };
        let fd = call(number::ACCEPT4, listener as usize, 0, 0, CLOEXEC | 0o4000, 0, 0) as i32;
        if fd < 0 {
            return;
        }
        let slot = &mut self.slots[number];
        slot.fd = fd;
        slot.taken = true;
        slot.generation = slot.generation.wrapping_add(1);
        slot.credit = WINDOW;
        slot.end_said = false;
        slot.end_heard = false;
        slot.deaf = false;
        slot.start = 0;
        slot.length = 0;
        let [_, _, _, _, a, b, c, d, ..] = name_of(fd);
        self.say(OPEN, number, &[a, b, c, d]);
    }

    /// Reads from a client, for the agent.
    fn take_in(&mut self, number: usize) {
        let Slot { fd, credit, end_said, .. } = self.slots[number];
        if end_said || fd < 0 {
            return;
        }
        let most = credit.min(PIECE);
        let count = read(fd, &mut self.out[HEAD..HEAD + most]);
        match count {
            INTR | AGAIN => {}
            1.. => {
                self.slots[number].credit -= count as usize;
                self.send(DATA, number, count as usize);
            }
            _ => self.end(number),
        }
    }

    /// Writes to a client what waits for it.
    fn pass_on(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        let mut passed = 0;
        while slot.length > 0 && !slot.deaf {
            let piece = slot.length.min(WINDOW - slot.start);
            let at = slot.ring[slot.start..].as_ptr() as usize;
            // Without a signal where nobody reads any more.
            let count = call(number::SENDTO, slot.fd as usize, at, piece, 0x4000, 0, 0);
            match count {
                INTR => {}
                AGAIN => break,
                1.. => {
                    let count = count as usize;
                    slot.start = (slot.start + count) % WINDOW;
                    slot.length -= count;
                    passed += count;
                }
                _ => slot.deaf = true,
            }
        }
        let deaf = slot.deaf;
        if deaf {
            slot.length = 0;
        }
        if deaf {
            self.say(STOP, number, &[]);
        } else if passed > 0 {
            self.give(number, passed);
        }
    }

    /// Says once that no more comes from a client.
    fn end(&mut self, number: usize) {
        if !self.slots[number].end_said {
            self.slots[number].end_said = true;
            self.say(END, number, &[]);
        }
    }

    /// Closes what both sides are done with.
    fn settle(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        if !slot.taken || !slot.end_heard || slot.length > 0 {
            return;
        }
        if slot.fd >= 0 && slot.end_said {
            close(slot.fd);
            slot.fd = -1;
        }
        if slot.end_said {
            slot.taken = false;
        } else if slot.fd >= 0 {
            // The client hears the end; it may still speak. A second time it does nothing.
            call(number::SHUTDOWN, slot.fd as usize, 1, 0, 0, 0, 0);
        }
    }

    /// Reads what the agent says.
    fn hear(&mut self) {
        let count = read(0, &mut self.input);
        if count == INTR || count == AGAIN {
            return;
        }
        if count <= 0 {
            // The agent has gone, and so does everything that it was to carry.
            exit(0);
        }
        let mut at = 0;
        while at < count as usize {
            if self.head_length < HEAD {
                self.head[self.head_length] = self.input[at];
                self.head_length += 1;
                at += 1;
                if self.head_length < HEAD {
                    continue;
                }
                let [_, _, _, _, a, b, c, d] = self.head;
                self.rest = u32::from_be_bytes([a, b, c, d]) as usize;
            }
            let [kind, generation, high, low, ..] = self.head;
            let number = usize::from(u16::from_be_bytes([high, low]));
            if number >= SLOTS {
                exit(4);
            }
            let late = !self.slots[number].taken || self.slots[number].generation != generation;
            match kind {
                DATA if late => {
                    let piece = self.rest.min(count as usize - at);
                    at += piece;
                    self.rest -= piece;
                }
                CREDIT if late => self.rest = 0,
                END | STOP if late => {}
                DATA => {
                    let piece = self.rest.min(count as usize - at);
                    self.keep(number, at, piece);
                    at += piece;
                    self.rest -= piece;
                }
                // In the place of a length.
                CREDIT => self.slots[number].credit += core::mem::take(&mut self.rest),
                END => self.slots[number].end_heard = true,
                STOP => self.end(number),
                _ => exit(5),
            }
            if self.rest == 0 {
                self.head_length = 0;
                self.settle(number);
            }
        }
    }

    /// Keeps a part of the input for a client.
    fn keep(&mut self, number: usize, at: usize, count: usize) {
        let Self { slots, input, .. } = self;
        let slot = &mut slots[number];
        if !slot.taken || slot.deaf {
            return;
        }
        if slot.length + count > WINDOW {
            exit(6);
        }
        for byte in &input[at..at + count] {
            slot.ring[(slot.start + slot.length) % WINDOW] = *byte;
            slot.length += 1;
        }
    }

    /// Says something short.
    fn say(&mut self, kind: u8, number: usize, words: &[u8]) {
        self.out[HEAD..HEAD + words.len()].copy_from_slice(words);
        self.send(kind, number, words.len());
    }

    /// Says that a client has taken so much.
    fn give(&mut self, number: usize, credit: usize) {
        self.lead(CREDIT, number, credit);
        self.leave(HEAD);
    }

    /// Says what stands behind the head already.
    fn send(&mut self, kind: u8, number: usize, length: usize) {
        self.lead(kind, number, length);
        self.leave(HEAD + length);
    }

    fn lead(&mut self, kind: u8, number: usize, length: usize) {
        let [a, b, c, d] = (length as u32).to_be_bytes();
        let [high, low] = (number as u16).to_be_bytes();
        let generation = self.slots[number].generation;
        self.out[..HEAD].copy_from_slice(&[kind, generation, high, low, a, b, c, d]);
    }

    fn leave(&mut self, length: usize) {
        if !write_all(1, &self.out[..length]) {
            exit(0);
        }
    }
}

// ---------------------------------------------------------------------------------------------------------- watching

/// Between two looks at the terminal's modes, and after so many of these at who reads it.
static LOOK: Span = Span { seconds: 0, nanos: 25_000_000 };
const LOOKS: u32 = 6;
/// Processes and threads that are looked at, at most.
const PROCESSES: usize = 512;
const THREADS: usize = 64;
const CHILD_ENDED: u64 = 1 << (17 - 1);

#[repr(C)]
struct Span {
    seconds: i64,
    nanos: i64,
}

#[repr(C)]
struct Termios {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    rest: [u8; 64],
}

/// What is told of a terminal, each a bit.
const LINES: u8 = 1;
const ECHO: u8 = 2;
const READS: u8 = 4;
const POLLS: u8 = 8;

fn watch(token: &[u8], command: *const *const u8, vars: *const *const u8) -> ! {
    // Signals are the command's, which gets back what it had.
    let (all, mut before) = (u64::MAX, 0_u64);
    let (all_at, before_at) = (&raw const all as usize, &raw mut before as usize);
    call(number::SIGPROCMASK, 2, all_at, before_at, 8, 0, 0);
    let child = call(number::CLONE, 17, 0, 0, 0, 0, 0);
    if child == 0 {
        call(number::SIGPROCMASK, 2, before_at, 0, 8, 0, 0);
        // SAFETY: there is at least one word.
        call(number::EXECVE, unsafe { *command } as usize, command as usize, vars as usize, 0, 0, 0);
        exit(127);
    }
    if child < 0 {
        exit(126);
    }
    let child = child as i32;
    let terminal = open(b"/dev/tty\0", READ_WRITE | NOCTTY);
    let (mut told, mut round, mut doing) = (u8::MAX, 0, 0);
    loop {
        let ended = CHILD_ENDED;
        call(number::SIGTIMEDWAIT, &raw const ended as usize, 0, &raw const LOOK as usize, 8, 0, 0);
        // Orphans are not ours, but the command itself.
        let mut status = 0_i32;
        let found = call(number::WAIT4, child as usize, &raw mut status as usize, 1, 0, 0, 0);
        if found == child as isize {
            let signal = status & 0x7f;
            exit(if signal == 0 { status >> 8 & 0xff } else { 128 + signal });
        }
        let Some((modes, front)) = modes(terminal) else { continue };
        round += 1;
        if modes != told & (LINES | ECHO) {
            // Who read it in another way does so no more, or is seen to with the next look.
            doing = 0;
        }
        if round % LOOKS == 0 {
            doing = 0;
            let mut seen = 0;
            look(child, front, &mut doing, &mut seen);
        }
        let now = modes | doing;
        if now != told {
            told = now;
            let mut text = [0_u8; 64];
            let parts: [&[u8]; 4] = [b"\x1b_", token, &[b'A' + now], b"\x1b\\"];
            let mut length = 0;
            for byte in parts.iter().flat_map(|part| part.iter()) {
                if length < text.len() {
                    text[length] = *byte;
                    length += 1;
                }
            }
            // At once, so that nothing stands in between.
            call(number::WRITE, terminal as usize, text.as_ptr() as usize, length, 0, 0, 0);
        }
    }
}

/// How a terminal hands on what is typed, and the process group in front.
fn modes(terminal: i32) -> Option<(u8, i32)> {
    // SAFETY: numbers alone.
    let mut termios: Termios = unsafe { zeroed() };
    let mut front = 0_i32;
    // TCGETS and TIOCGPGRP.
    let asked = call(number::IOCTL, terminal as usize, 0x5401, &raw mut termios as usize, 0, 0, 0);
    if asked < 0 || call(number::IOCTL, terminal as usize, 0x540f, &raw mut front as usize, 0, 0, 0) < 0 {
        return None;
    }
    let lines = if termios.local & 2 != 0 { LINES } else { 0 };
    let echo = if termios.local & 8 != 0 { ECHO } else { 0 };
    Some((lines | echo, front))
}

/// What a process does that is in front, and those that it started.
fn look(pid: i32, front: i32, doing: &mut u8, seen: &mut usize) {
    *seen += 1;
    if *seen > PROCESSES {
        return;
    }
    let in_front = group(pid) == Some(front);
    let mut threads = [0_i32; THREADS];
    for thread in list(pid, &mut threads) {
        if in_front {
            *doing |= of(pid, *thread);
        }
        let mut buffer = [0_u8; 2048];
        let count = slurp(&[b"/proc/", &digits(pid), b"/task/", &digits(*thread), b"/children"], &mut buffer);
        let words = buffer[..count].split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        for word in words {
            if let Some(child) = decimal(word) {
                look(child as i32, front, doing, seen);
            }
        }
    }
}

/// The third field behind the name, which may hold blanks and brackets.
fn group(pid: i32) -> Option<i32> {
    let mut buffer = [0_u8; 512];
    let count = slurp(&[b"/proc/", &digits(pid), b"/stat"], &mut buffer);
    let stat = &buffer[..count];
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let field = stat.get(end + 2..)?.split(|byte| *byte == b' ').nth(2)?;
    decimal(field).map(|group| group as i32)
}

fn of(pid: i32, thread: i32) -> u8 {
    let mut buffer = [0_u8; 256];
    let count = slurp(&[b"/proc/", &digits(pid), b"/task/", &digits(thread), b"/syscall"], &mut buffer);
    let mut words = buffer[..count].split(|byte| *byte == b' ');
    let Some(number) = words.next().and_then(decimal) else { return 0 };
    if number::POLLS.contains(&number) {
        return POLLS;
    }
    if number::READS.contains(&number)
        && let Some(fd) = words.next().and_then(hexadecimal)
        && is_terminal(pid, fd)
    {
        return READS;
    }
    0
}

/// By the device: pseudo terminals, and the controlling one.
fn is_terminal(pid: i32, fd: u64) -> bool {
    let mut path = [0_u8; 64];
    join(&[b"/proc/", &digits(pid), b"/fd/", &digits(fd as i32)], &mut path);
    let mut stat = [0_u8; 256];
    let at = stat.as_mut_ptr() as usize;
    if call(number::STATAT, HERE as usize, path.as_ptr() as usize, at, 0, 0, 0) < 0 {
        return false;
    }
    let mut device = [0_u8; 8];
    device.copy_from_slice(&stat[number::RDEV..number::RDEV + 8]);
    let device = u64::from_ne_bytes(device);
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    (136..=143).contains(&major) || (major, minor) == (5, 0)
}

/// The threads of a process.
fn list(pid: i32, threads: &mut [i32; THREADS]) -> &[i32] {
    let mut path = [0_u8; 64];
    join(&[b"/proc/", &digits(pid), b"/task"], &mut path);
    let fd = open(&path, number::DIRECTORY);
    let mut found = 0;
    if fd >= 0 {
        let mut buffer = [0_u8; 4096];
        loop {
            let at = buffer.as_mut_ptr() as usize;
            let count = call(number::GETDENTS, fd as usize, at, buffer.len(), 0, 0, 0);
            if count <= 0 {
                break;
            }
            let mut rest = &buffer[..count as usize];
            // struct linux_dirent64: a number, an offset, the length of the entry, its kind, its name.
            while let Some(length) = rest.get(16..18) {
                let length = usize::from(u16::from_ne_bytes([length[0], length[1]]));
                let name = rest.get(19..length).unwrap_or_default();
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                if let Some(thread) = decimal(name)
                    && found < THREADS
                {
                    threads[found] = thread as i32;
                    found += 1;
                }
                rest = rest.get(length.max(1)..).unwrap_or_default();
            }
        }
        close(fd);
    }
    &threads[..found]
}

/// The beginning of a file.
fn slurp(path: &[&[u8]], buffer: &mut [u8]) -> usize {
    let mut whole = [0_u8; 96];
    join(path, &mut whole);
    let fd = open(&whole, 0);
    if fd < 0 {
        return 0;
    }
    let mut count = 0;
    loop {
        match read(fd, &mut buffer[count..]) {
            more @ 1.. => count += more as usize,
            _ => break,
        }
    }
    close(fd);
    count
}

/// With a zero behind them.
fn join(parts: &[&[u8]], to: &mut [u8]) {
    let mut at = 0;
    for byte in parts.iter().flat_map(|part| part.iter()).filter(|byte| **byte != 0) {
        if at + 1 < to.len() {
            to[at] = *byte;
            at += 1;
        }
    }
}

/// With zeroes in the places of digits that it does not have.
fn digits(number: i32) -> [u8; 10] {
    let mut text = [0_u8; 10];
    let mut rest = number.unsigned_abs();
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text
}

fn decimal(word: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for byte in word.iter().take_while(|byte| **byte != b'\n') {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    (!word.is_empty()).then_some(number)
}

fn hexadecimal(word: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for byte in word.strip_prefix(b"0x")? {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u64::from(digit);
    }
    Some(number)
}

// ------------------------------------------------------------------------------------------------------------ trying

const PERM: isize = -1;
const NOSYS: isize = -38;
/// Processes that are tried to be started: more than a container may have.
const TOO_MANY: usize = 640;
/// The numbers of the newest calls are the same everywhere.
const IO_URING_SETUP: usize = 425;
const CLONE3: usize = 435;
const OPENAT2: usize = 437;

/// Calls that the rules refuse, with two arguments, and the answer of the rules: the kernel alone has another one.
static CALLS: [(&[u8], usize, usize, usize, isize); 10] = [
    (b"keyctl\n", number::KEYCTL, 0, 0, PERM),
    (b"io_uring_setup\n", IO_URING_SETUP, 1, 0, NOSYS),
    (b"clone3\n", CLONE3, 0, 0, NOSYS),
    (b"openat2\n", OPENAT2, 0, 0, NOSYS),
    (b"name_to_handle_at\n", number::NAME_TO_HANDLE, 0, 0, PERM),
    (b"socket(AF_VSOCK)\n", number::SOCKET, 40, 1, PERM),
    (b"socket(AF_ALG)\n", number::SOCKET, 38, 5, PERM),
    (b"ioctl(TIOCSTI)\n", number::IOCTL, 0, 0x5412, PERM),
    (b"personality(READ_IMPLIES_EXEC)\n", number::PERSONALITY, 0x0040_0000, 0, PERM),
    (b"unshare(CLONE_NEWUSER)\n", number::UNSHARE, 0x1000_0000, 0, PERM),
];

/// Says what could be done that should not, a line each, and `tried` in the end.
fn attack() -> ! {
    for (name, number, a, b, answer) in CALLS {
        if call(number, a, b, 0, 0, 0, 0) != answer {
            write_all(1, name);
        }
    }
    if other_calls() {
        write_all(1, b"calls of another architecture\n");
    }
    if !is_bounded() {
        write_all(1, b"any number of processes\n");
    }
    write_all(1, b"tried\n");
    exit(0)
}

/// Whether a process lives on that makes a call in the way of 32-bit programs, which has numbers of its own.
#[cfg(target_arch = "x86_64")]
fn other_calls() -> bool {
    let child = call(number::CLONE, 17, 0, 0, 0, 0, 0);
    if child == 0 {
        // SAFETY: the call (getpid) takes nothing, and its result is in no other register.
        unsafe { asm!("int 0x80", inlateout("rax") 20_usize => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _) };
        exit(0);
    }
    let mut status = -1_i32;
    call(number::WAIT4, child as usize, &raw mut status as usize, 0, 0, 0, 0);
    status == 0
}

#[cfg(target_arch = "aarch64")]
fn other_calls() -> bool {
    false
}

/// Whether the number of processes is.
fn is_bounded() -> bool {
    let mut children = [0_isize; TOO_MANY];
    let mut bounded = false;
    for child in &mut children {
        *child = call(number::CLONE, 17, 0, 0, 0, 0, 0);
        if *child == 0 {
            loop {
                call(number::PPOLL, 0, 0, 0, 0, 0, 0);
            }
        }
        if *child < 0 {
            bounded = true;
            break;
        }
    }
    for child in children.iter().take_while(|child| **child > 0) {
        call(number::KILL, *child as usize, 9, 0, 0, 0, 0);
    }
    for child in children.iter().take_while(|child| **child > 0) {
        call(number::WAIT4, *child as usize, 0, 0, 0, 0, 0);
    }
    bounded
}
