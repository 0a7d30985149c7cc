/* The attacks of the escape suite that a shell has no words for: `attack NAME [ARGUMENT...]`.
 *
 * One program, built once and linked statically, so that it runs in any image. What it prints is judged by the test;
 * "PWNED" says that the kernel did what was asked, or (for calls that would do harm) took the question up instead of
 * refusing it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <grp.h>
#include <unistd.h>

/* Numbers that are the same everywhere, for older headers. */
enum { OPEN_TREE = 428, MOVE_MOUNT = 429, FSOPEN = 430, CLONE3 = 435, PIDFD_OPEN = 434, PIDFD_GETFD = 438,
       MOUNT_SETATTR = 442, MEMFD_SECRET = 447, FCHMODAT2 = 452, OPEN_TREE_ATTR = 467, PIDFD_SEND_SIGNAL = 424,
       IO_URING_SETUP = 425, OPENAT2 = 437 };

static int say(int won) {
    if (won) puts("PWNED");
    else printf("no: %s\n", strerror(errno));
    return !won;
}

/* Whether the kernel took the question up: it did it, or found fault with its words and not with who asked. */
static int reached(long result) { return result >= 0 || (errno != EPERM && errno != ENOSYS && errno != EACCES); }

static long number(const char *text) { return text ? strtol(text, 0, 0) : 0; }

/* ---- sockets ---- */

static int send_token(int fd, const char *token) {
    struct timeval patience = {2, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return say(write(fd, token, strlen(token)) > 0);
}

/* tcp|udp HOST PORT TOKEN */
static int inet(int type, char **a) {
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(number(a[1]))};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(number(a[1]))};
    int is_six = inet_pton(AF_INET6, a[0], &six.sin6_addr) == 1;
    if (!is_six) inet_pton(AF_INET, a[0], &four.sin_addr);
    int fd = socket(is_six ? AF_INET6 : AF_INET, type, 0);
    if (fd < 0) return say(0);
    int went = is_six ? connect(fd, (void *)&six, sizeof six) : connect(fd, (void *)&four, sizeof four);
    return went ? say(0) : send_token(fd, a[2]);
}

/* unix TYPE PATH TOKEN: a path that begins with @ is an abstract name. */
static int local(int type, char **a) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strncpy(at.sun_path, a[0], sizeof at.sun_path - 1);
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + strlen(a[0]);
    if (a[0][0] == '@') at.sun_path[0] = 0;
    else size++;
    int fd = socket(AF_UNIX, type, 0);
    if (fd < 0 || connect(fd, (void *)&at, size)) return say(0);
    return send_token(fd, a[1]);
}

/* Sends the token as a TCP fast open, where no connection is asked for first. */
static int fastopen(char **a) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(number(a[1]))};
    inet_pton(AF_INET, a[0], &at.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return say(fd >= 0 && sendto(fd, a[2], strlen(a[2]), MSG_FASTOPEN, (void *)&at, sizeof at) > 0);
}

/* Sends a UDP packet with another source address, built by hand. */
static int raw_udp(char **a) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(number(a[1]))};
    inet_pton(AF_INET, a[0], &at.sin_addr);
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
    if (fd < 0) return say(0);
    unsigned char packet[256];
    size_t length = 8 + strlen(a[2]);
    uint16_t head[4] = {htons(53), at.sin_port, htons(length), 0};
    memcpy(packet, head, 8);
    memcpy(packet + 8, a[2], length - 8);
    at.sin_port = 0;
    return say(sendto(fd, packet, length, 0, (void *)&at, sizeof at) > 0);
}

/* netlink PROTOCOL: asks for the socket alone. */
static int family(int family, int type, int protocol) { return say(reached(socket(family, type, protocol))); }

/* ---- processes ---- */

static int peek_text(const char *from, ssize_t count) {
    /* Printable runs, so that a canary among them can be found. */
    for (ssize_t at = 0; at < count; at++)
        if (isprint((unsigned char)from[at])) putchar(from[at]);
    return 0;
}

/* Reads whatever the process may write, by `how`, and prints what can be printed. */
static int memory(int pid, int how) {
    char name[64], line[512];
    enum { MOST = 1 << 20 };
    char *buffer = malloc(MOST);
    snprintf(name, sizeof name, "/proc/%d/maps", pid);
    FILE *maps = fopen(name, "r");
    if (!maps) return say(0);
    snprintf(name, sizeof name, "/proc/%d/mem", pid);
    int mem = how == 0 ? open(name, O_RDONLY) : -1;
    if (how == 2 && ptrace(PTRACE_SEIZE, pid, 0, 0)) return say(0);
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 || mode[1] != 'w' || end - start > MOST) continue;
        ssize_t got = -1;
        if (how == 0) got = pread(mem, buffer, end - start, start);
        else {
            struct iovec here = {buffer, end - start}, there = {(void *)start, end - start};
            got = process_vm_readv(pid, &here, 1, &there, 1, 0);
        }
        if (got > 0) peek_text(buffer, got);
    }
    return 0;
}

/* Writes over the canary in the memory of a process. */
static int overwrite(int pid) {
    char name[64], line[512];
    enum { MOST = 1 << 20 };
    char *buffer = malloc(MOST);
    snprintf(name, sizeof name, "/proc/%d/maps", pid);
    FILE *maps = fopen(name, "r");
    if (!maps) return say(0);
    int won = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        char mode[8];
        if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 || mode[1] != 'w' || end - start > MOST) continue;
        struct iovec here = {buffer, end - start}, there = {(void *)start, end - start};
        ssize_t got = process_vm_readv(pid, &here, 1, &there, 1, 0);
        for (ssize_t at = 0; at + 7 < got; at++)
            if (!memcmp(buffer + at, "canary-", 7)) {
                struct iovec x = {"XXXXXX", 6}, place = {(void *)(start + at), 6};
                won |= process_vm_writev(pid, &x, 1, &place, 1, 0) == 6;
            }
    }
    return say(won);
}

/* The victim: keeps what it reads from its standard input in memory until that ends, and then prints it. */
static char secret[256];
static int victim(void) {
    ssize_t count = read(0, secret, sizeof secret - 1);
    if (write(1, "ready\n", 6) != 6) return 1;
    char rest;
    while (read(0, &rest, 1) > 0) {}
    return write(1, secret, count > 0 ? count : 0) < 0;
}

/* A service of the host: hears one caller, and prints what it says. */
static int service(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strncpy(at.sun_path, path, sizeof at.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (void *)&at, sizeof at) || listen(fd, 9) || write(1, "ready\n", 6) != 6) return say(0);
    int caller = accept(fd, 0, 0);
    char buffer[256];
    ssize_t got = read(caller, buffer, sizeof buffer);
    return got > 0 && write(1, buffer, got) != got;
}

/* ---- kernel ---- */

static char stack[1 << 16];
static int child(void *unused) { (void)unused; return 0; }

static int new_namespace_by_clone(int flags) {
    int pid = clone(child, stack + sizeof stack, flags | SIGCHLD, 0);
    if (pid > 0) waitpid(pid, 0, 0);
    return say(pid > 0);
}

static int new_namespace_by_clone3(uint64_t flags) {
    uint64_t args[11] = {flags, 0, 0, 0, SIGCHLD};
    long pid = syscall(CLONE3, args, sizeof args);
    if (pid == 0) _exit(0);
    if (pid > 0) waitpid(pid, 0, 0);
    return say(pid > 0);
}

static int type_into_terminal(int request, const char *what) {
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) return say(0);
    char name[64];
    ptsname_r(master, name, sizeof name);
    if (fork() == 0) {
        setsid();
        int tty = open(name, O_RDWR);
        ioctl(tty, TIOCSCTTY, 0);
        int won = 1;
        for (const char *c = what; *c; c++) won &= ioctl(tty, request, c) == 0;
        /* What was typed can be read as if a person had. */
        char read_back[8] = {0};
        struct pollfd ready = {tty, POLLIN, 0};
        won = won && poll(&ready, 1, 500) == 1 && read(tty, read_back, 7) > 0 && !strcmp(read_back, what);
        _exit(say(won));
    }
    int status = 1;
    wait(&status);
    return status != 0;
}

static int mode_of(const char *how, const char *path) {
    umask(0);
    if (!strcmp(how, "creat")) syscall(
#ifdef SYS_creat
        SYS_creat, path, 04755
#else
        SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, 04755
#endif
    );
    else if (!strcmp(how, "openat")) syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY, 04755);
    else if (!strcmp(how, "openat2")) {
        uint64_t args[3] = {O_CREAT | O_WRONLY, 04755, 0};
        syscall(OPENAT2, AT_FDCWD, path, args, sizeof args);
    } else if (!strcmp(how, "mknod")) syscall(SYS_mknodat, AT_FDCWD, path, S_IFREG | 04755, 0);
    else if (!strcmp(how, "tmpfile")) {
        char name[64];
        int fd = syscall(SYS_openat, AT_FDCWD, ".", O_TMPFILE | O_WRONLY, 04755);
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        if (fd >= 0) syscall(SYS_linkat, AT_FDCWD, name, AT_FDCWD, path, AT_SYMLINK_FOLLOW);
    } else {
        close(syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY, 0755));
        if (!strcmp(how, "fchmodat")) syscall(SYS_fchmodat, AT_FDCWD, path, 06755);
        if (!strcmp(how, "fchmodat2")) syscall(FCHMODAT2, AT_FDCWD, path, 06755, 0);
        if (!strcmp(how, "fchmod")) syscall(SYS_fchmod, open(path, O_RDONLY), 06755);
    }
    return 0;
}

/* handle PATH: prints the handle of a path; by_handle TEXT WITHIN: reads what it leads to. */
struct handle { struct file_handle head; unsigned char bytes[128]; };
static int handle(const char *path) {
    struct handle h = {.head = {.handle_bytes = 128}};
    int mount;
    if (name_to_handle_at(AT_FDCWD, path, &h.head, &mount, 0)) return say(0);
    printf("%x:%x:", h.head.handle_type, h.head.handle_bytes);
    for (unsigned i = 0; i < h.head.handle_bytes; i++) printf("%02x", h.head.f_handle[i]);
    puts("");
    return 0;
}
static int by_handle(const char *text, const char *within) {
    struct handle h = {0};
    unsigned type, bytes, byte;
    int at;
    if (sscanf(text, "%x:%x:%n", &type, &bytes, &at) < 2) return say(0);
    h.head.handle_type = type;
    h.head.handle_bytes = bytes;
    for (unsigned i = 0; i < bytes && sscanf(text + at + 2 * i, "%2x", &byte) == 1; i++) h.head.f_handle[i] = byte;
    int fd = open_by_handle_at(open(within, O_RDONLY), &h.head, O_RDONLY);
    char buffer[256];
    ssize_t got = fd < 0 ? -1 : read(fd, buffer, sizeof buffer);
    return got < 0 ? say(0) : peek_text(buffer, got);
}

static long keyring(const char *what, char **a) {
    enum { SESSION = -3, USER = -4 };
    if (!strcmp(what, "put")) {
        long key = syscall(SYS_add_key, "user", a[0], a[1], strlen(a[1]), USER);
        /* For every process of the user, whether it holds the keyring or not. */
        if (key > 0) syscall(SYS_keyctl, 5 /* SETPERM */, key, 0x3f3f0000L);
        return say(key > 0);
    }
    if (!strcmp(what, "drop")) {
        long key = syscall(SYS_keyctl, 10 /* SEARCH */, USER, "user", a[0], 0);
        return say(key > 0 && syscall(SYS_keyctl, 9 /* UNLINK */, key, USER) == 0);
    }
    if (!strcmp(what, "get")) {
        char buffer[256];
        long key = syscall(SYS_keyctl, 10, USER, "user", a[0], 0);
        long got = key < 0 ? -1 : syscall(SYS_keyctl, 11 /* READ */, key, buffer, sizeof buffer);
        return got < 0 ? say(0) : peek_text(buffer, got);
    }
    if (!strcmp(what, "request")) return say(reached(syscall(SYS_request_key, "user", "no-such-key", 0, 0)));
    return say(syscall(SYS_keyctl, 1 /* JOIN_SESSION */, 0) > 0);
}

static int bpf(int command) {
    uint32_t attr[32] = {0};
    if (command == 0) { attr[0] = 2; attr[1] = 4; attr[2] = 4; attr[3] = 1; }
    else {
        /* r0 = 0; exit, as a socket filter. */
        static uint64_t program[2] = {0xb7, 0x95};
        uint64_t fields[3] = {1 | 2ull << 32, (uintptr_t)program, (uintptr_t) "GPL"};
        memcpy(attr, fields, sizeof fields);
    }
    return say(syscall(SYS_bpf, command, attr, sizeof attr) >= 0);
}

/* Words that would do harm if they were right: only who is asked for is answered. */
static int word(const char *name) {
    if (!strcmp(name, "reboot")) return say(reached(syscall(SYS_reboot, 0, 0, 0, 0)));
    if (!strcmp(name, "init_module")) return say(reached(syscall(SYS_init_module, "x", 1, "")));
    if (!strcmp(name, "finit_module")) return say(reached(syscall(SYS_finit_module, -1, "", 0)));
    if (!strcmp(name, "delete_module")) return say(reached(syscall(SYS_delete_module, "no_such_module", O_NONBLOCK)));
    if (!strcmp(name, "swapon")) return say(reached(syscall(SYS_swapon, "/no/such/file", 0)));
    if (!strcmp(name, "swapoff")) return say(reached(syscall(SYS_swapoff, "/no/such/file")));
    if (!strcmp(name, "acct")) return say(reached(syscall(SYS_acct, "/no/such/file")));
    if (!strcmp(name, "quotactl")) return say(reached(syscall(SYS_quotactl, 0x80000300, "/no/such", 0, 0)));
    if (!strcmp(name, "settimeofday")) { struct timeval t = {0, -1}; return say(reached(syscall(SYS_settimeofday, &t, 0))); }
    if (!strcmp(name, "clock_settime")) { struct timespec t = {0, -1}; return say(reached(syscall(SYS_clock_settime, 0, &t))); }
    if (!strcmp(name, "adjtimex")) { struct timex t = {.modes = ADJ_TICK, .tick = 1}; return say(reached(syscall(SYS_adjtimex, &t))); }
    if (!strcmp(name, "sethostname")) return say(sethostname(getenv("ID"), strlen(getenv("ID"))) == 0);
    if (!strcmp(name, "setdomainname")) return say(setdomainname(getenv("ID"), strlen(getenv("ID"))) == 0);
    if (!strcmp(name, "syslog")) { char b[4096]; return say(syscall(SYS_syslog, 3, b, sizeof b) > 0); }
    if (!strcmp(name, "kcmp")) return say(syscall(SYS_kcmp, getpid(), getppid(), 0, 0, 0) >= 0);
    if (!strcmp(name, "userfaultfd")) return say(syscall(SYS_userfaultfd, 1) >= 0);
    if (!strcmp(name, "perf")) {
        uint32_t attr[32] = {1, 112, 0};
        return say(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0) >= 0);
    }
    if (!strcmp(name, "fanotify")) return say(syscall(SYS_fanotify_init, 0, 0) >= 0);
    if (!strcmp(name, "io_uring")) { char p[120] = {0}; return say(syscall(IO_URING_SETUP, 1, p) >= 0); }
    if (!strcmp(name, "memfd_secret")) return say(reached(syscall(MEMFD_SECRET, 0)));
    if (!strcmp(name, "personality")) return say(syscall(SYS_personality, 0x0400000) >= 0);
    if (!strcmp(name, "vhangup")) return say(reached(syscall(SYS_lookup_dcookie, 0, 0, 0)));
#ifdef __x86_64__
    if (!strcmp(name, "iopl")) return say(syscall(SYS_iopl, 3) == 0);
    if (!strcmp(name, "ioperm")) return say(syscall(SYS_ioperm, 0x80, 1, 1) == 0);
    if (!strcmp(name, "modify_ldt")) { char b[64]; return say(syscall(SYS_modify_ldt, 0, b, sizeof b) >= 0); }
    if (!strcmp(name, "int80")) {
        int pid;
        __asm__ volatile("int $0x80" : "=a"(pid) : "a"(20) : "memory");
        return say(pid == getpid());
    }
    if (!strcmp(name, "x32")) { errno = 0; return say(syscall(0x40000000 + SYS_getpid) == getpid()); }
#endif
    errno = ENOSYS;
    return say(0);
}

static int mounting(const char *name, const char *path) {
    if (!strcmp(name, "tmpfs")) return say(mount("none", path, "tmpfs", 0, "") == 0);
    if (!strcmp(name, "remount")) return say(mount("none", path, 0, MS_REMOUNT | MS_BIND, "") == 0);
    if (!strcmp(name, "bind")) return say(mount("/", path, 0, MS_BIND | MS_REC, 0) == 0);
    if (!strcmp(name, "proc")) return say(mount("proc", path, "proc", 0, 0) == 0);
    if (!strcmp(name, "umount")) { mount("none", path, "tmpfs", 0, ""); return say(umount2(path, MNT_DETACH) == 0); }
    if (!strcmp(name, "fsopen")) return say(syscall(FSOPEN, "tmpfs", 0) >= 0);
    if (!strcmp(name, "open_tree")) return say(syscall(OPEN_TREE, AT_FDCWD, path, 1 /* CLONE */) >= 0);
    if (!strcmp(name, "open_tree_attr")) {
        uint64_t attr[4] = {0};
        return say(syscall(OPEN_TREE_ATTR, AT_FDCWD, path, 1, attr, sizeof attr) >= 0);
    }
    if (!strcmp(name, "setattr")) {
        uint64_t attr[4] = {0, 1 /* RDONLY, off */, 0, 0};
        return say(syscall(MOUNT_SETATTR, AT_FDCWD, path, 0, attr, sizeof attr) == 0);
    }
    if (!strcmp(name, "move")) return say(reached(syscall(MOVE_MOUNT, AT_FDCWD, path, AT_FDCWD, path, 0)));
    if (!strcmp(name, "pivot")) return say(reached(syscall(SYS_pivot_root, path, path)));
    if (!strcmp(name, "chroot")) return say(chroot(path) == 0);
    return 2;
}

/* without LAYER PROGRAM...: runs a program where the kernel lacks a layer of the sandbox. */
static int without(const char *layer, char **words) {
    enum { NR = offsetof(struct seccomp_data, nr), FLAGS = offsetof(struct seccomp_data, args[0]) };
    struct sock_filter gone = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    struct sock_filter may = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_filter program[16] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR)};
    int size = 1;
#define CALL(number) program[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), program[size++] = gone
    if (!strcmp(layer, "landlock")) { CALL(444); CALL(445); CALL(446); }
    else if (!strcmp(layer, "seccomp")) { CALL(SYS_seccomp); }
    else if (!strcmp(layer, "mounts")) { CALL(MOUNT_SETATTR); }
    else {
        program[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 4);
        program[size++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FLAGS);
        program[size++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1);
        program[size++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
        program[size++] = may;
        CALL(SYS_unshare);
    }
    program[size++] = may;
    struct sock_fprog all = {size, program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all)) return say(0);
    execvp(words[0], words);
    return say(0);
}

/* ---- limits ---- */

/* Processes at once, up to a number. */
static int crowd(long wanted) {
    int line[2];
    if (pipe(line)) return say(0);
    long made = 0;
    for (; made < wanted; made++) {
        int pid = fork();
        if (pid < 0) break;
        if (pid == 0) { char b; close(line[1]); _exit(read(line[0], &b, 1) != 0); }
    }
    printf("%ld processes\n", made);
    close(line[1]);
    while (wait(0) > 0) {}
    return say(made == wanted);
}

/* Memory in use at once, in MiB. In a child, for who is in the way is killed. */
static int eat(long wanted) {
    int pid = fork();
    if (pid == 0) {
        for (long made = 0; made < wanted; made += 64) {
            char *at = mmap(0, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (at == MAP_FAILED) _exit(1);
            madvise(at, 64 << 20, MADV_HUGEPAGE);
            for (long page = 0; page < 64 << 20; page += 4096) at[page] = 1;
        }
        _exit(0);
    }
    int status = 1;
    waitpid(pid, &status, 0);
    return say(status == 0);
}

static int open_many(long wanted) {
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    long made = 0;
    while (made < wanted && dup(0) >= 0) made++;
    printf("%ld descriptors\n", made);
    return say(made == wanted);
}

/* Ends by itself after a while, so that a failed test leaves nothing for ever: stays MARK [how...] */
static int stays(int argc, char **a) {
    for (int i = 1; i < argc; i++) {
        if (!strcmp(a[i], "deaf")) for (int s = 1; s < 65; s++) signal(s, SIG_IGN);
        if (!strcmp(a[i], "session")) { if (fork()) _exit(0); setsid(); if (fork()) _exit(0); }
        if (!strcmp(a[i], "closed")) for (int fd = 0; fd < 64; fd++) close(fd);
        if (!strcmp(a[i], "stopped")) raise(SIGSTOP);
        if (!strcmp(a[i], "restless")) for (int n = 0; n < 1200; n++) { if (fork()) _exit(0); usleep(50000); }
        if (!strcmp(a[i], "traced")) { if (fork() == 0) { ptrace(PTRACE_TRACEME, 0, 0, 0); raise(SIGSTOP); } }
        if (!strcmp(a[i], "threads")) { if (vfork() == 0) { execl("/proc/self/exe", "attack", "stays", a[0], (char *)0); _exit(1); } }
    }
    sleep(60);
    return 0;
}

int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IONBF, 0);
    if (argc < 2) return 2;
    const char *is = argv[1];
    char *none[4] = {"", "", "", ""}, **a = none;
    for (int i = 2; i < argc && i < 6; i++) none[i - 2] = argv[i];
    long n = number(a[0]);

    if (!strcmp(is, "victim")) return victim();
    if (!strcmp(is, "service")) return service(a[0]);
    if (!strcmp(is, "stays")) return stays(argc - 2, argv + 2);

    if (!strcmp(is, "without")) return without(argv[2], argv + 3);
    if (!strcmp(is, "tcp")) return inet(SOCK_STREAM, a);
    if (!strcmp(is, "udp")) return inet(SOCK_DGRAM, a);
    if (!strcmp(is, "fastopen")) return fastopen(a);
    if (!strcmp(is, "raw-udp")) return raw_udp(a);
    if (!strcmp(is, "unix")) return local(SOCK_STREAM, a);
    if (!strcmp(is, "unix-datagram")) return local(SOCK_DGRAM, a);
    if (!strcmp(is, "socket")) return family(n, number(a[1]), number(a[2]));

    if (!strcmp(is, "memory")) return memory(n, number(a[1]));
    if (!strcmp(is, "overwrite")) return overwrite(n);
    if (!strcmp(is, "seize")) return say(ptrace(PTRACE_SEIZE, n, 0, 0) == 0);
    if (!strcmp(is, "attach")) { int won = ptrace(PTRACE_ATTACH, n, 0, 0) == 0; if (won) { waitpid(n, 0, __WALL); ptrace(PTRACE_DETACH, n, 0, SIGSTOP); } return say(won); }
    if (!strcmp(is, "pidfd-signal")) return say(syscall(PIDFD_SEND_SIGNAL, syscall(PIDFD_OPEN, n, 0), SIGKILL, 0, 0) == 0);
    if (!strcmp(is, "steal")) {
        /* Every descriptor of the process that can be had, read. */
        int from = syscall(PIDFD_OPEN, n, 0);
        for (int fd = 0; fd < 16; fd++) {
            int got = syscall(PIDFD_GETFD, from, fd, 0);
            char buffer[256];
            ssize_t count = got < 0 ? -1 : pread(got, buffer, sizeof buffer, 0);
            if (count > 0) peek_text(buffer, count);
        }
        return 0;
    }
    if (!strcmp(is, "owner")) {
        /* Has the kernel send a signal to the process, when a pipe becomes readable. */
        int line[2];
        if (pipe(line) || fcntl(line[0], F_SETOWN, (int)n) || fcntl(line[0], F_SETSIG, SIGKILL)) return say(0);
        fcntl(line[0], F_SETFL, O_ASYNC | O_NONBLOCK);
        return say(write(line[1], "x", 1) == 1);
    }
    if (!strcmp(is, "nice")) return say(setpriority(PRIO_PROCESS, n, 19) == 0);
    if (!strcmp(is, "limit")) { struct rlimit l = {3, 3}; return say(prlimit(n, RLIMIT_NOFILE, &l, 0) == 0); }
    if (!strcmp(is, "pin")) { cpu_set_t s; CPU_ZERO(&s); CPU_SET(0, &s); return say(sched_setaffinity(n, sizeof s, &s) == 0); }

    if (!strcmp(is, "shm-put")) {
        char *at = shmat(shmget(n, 4096, IPC_CREAT | 0666), 0, 0);
        return at == (void *)-1 ? say(0) : (strcpy(at, a[1]), say(1));
    }
    if (!strcmp(is, "shm-get")) { char *at = shmat(shmget(n, 0, 0), 0, SHM_RDONLY); return at == (void *)-1 ? say(0) : (puts(at), 0); }
    if (!strcmp(is, "shm-drop")) return say(shmctl(shmget(n, 0, 0), IPC_RMID, 0) == 0);
    if (!strcmp(is, "mq-put")) {
        mqd_t q = mq_open(a[0], O_CREAT | O_RDWR, 0666, 0);
        return say(q != (mqd_t)-1 && mq_send(q, a[1], strlen(a[1]), 0) == 0);
    }
    if (!strcmp(is, "mq-get")) {
        char buffer[65536];
        mqd_t q = mq_open(a[0], O_RDONLY | O_NONBLOCK);
        ssize_t got = q == (mqd_t)-1 ? -1 : mq_receive(q, buffer, sizeof buffer, 0);
        return got < 0 ? say(0) : peek_text(buffer, got);
    }
    if (!strcmp(is, "mq-drop")) return say(mq_unlink(a[0]) == 0);
    if (!strcmp(is, "msg-get")) {
        struct { long type; char text[256]; } m;
        ssize_t got = msgrcv(msgget(n, 0), &m, sizeof m.text, 0, IPC_NOWAIT);
        return got < 0 ? say(0) : peek_text(m.text, got);
    }
    if (!strcmp(is, "msg-put")) {
        struct { long type; char text[256]; } m = {1, ""};
        strncpy(m.text, a[1], 255);
        return say(msgsnd(msgget(n, IPC_CREAT | 0666), &m, strlen(m.text), 0) == 0);
    }
    if (!strcmp(is, "msg-drop")) return say(msgctl(msgget(n, 0), IPC_RMID, 0) == 0);

    if (!strcmp(is, "unshare")) return say(unshare(n) == 0);
    if (!strcmp(is, "clone")) return new_namespace_by_clone(n);
    if (!strcmp(is, "clone3")) return new_namespace_by_clone3(n);
    if (!strcmp(is, "setns")) return say(syscall(SYS_setns, syscall(PIDFD_OPEN, n, 0), number(a[1])) == 0);
    if (!strcmp(is, "setns-file")) return say(syscall(SYS_setns, open(a[0], O_RDONLY), 0) == 0);
    if (!strcmp(is, "mount")) return mounting(a[0], a[1]);
    if (!strcmp(is, "type")) return type_into_terminal(n, "x\n");
    if (!strcmp(is, "set-id")) return mode_of(a[0], a[1]);
    if (!strcmp(is, "handle")) return handle(a[0]);
    if (!strcmp(is, "by-handle")) return by_handle(a[0], a[1]);
    if (!strcmp(is, "key")) return keyring(a[0], a + 1);
    if (!strcmp(is, "bpf")) return bpf(n);
    if (!strcmp(is, "word")) return word(a[0]);
    if (!strcmp(is, "setuid")) return say(setuid(0) == 0 && geteuid() == 0);
    if (!strcmp(is, "groups")) { gid_t g = 0; return say(setgroups(1, &g) == 0); }
    if (!strcmp(is, "device")) return say(mknod(a[0], S_IFCHR | 0666, 0x101) == 0 || mknod(a[0], S_IFCHR | 0666, 0x10b) == 0);
    if (!strcmp(is, "capability")) {
        static unsigned char cap[20] = {1, 0, 0, 2, 0xff, 0xff, 0xff, 0xff};
        return say(setxattr(a[0], "security.capability", cap, sizeof cap, 0) == 0);
    }
    if (!strcmp(is, "core")) { struct rlimit l; getrlimit(RLIMIT_CORE, &l); errno = 0; return say(l.rlim_max != 1); }

    if (!strcmp(is, "reopen")) {
        char name[64];
        int path = open(a[0], O_PATH);
        snprintf(name, sizeof name, "/proc/self/fd/%d", path);
        int fd = open(name, O_WRONLY | O_TRUNC);
        return say(path >= 0 && fd >= 0 && write(fd, "x", 1) == 1);
    }
    if (!strcmp(is, "climb")) {
        /* Up from a directory that is open, then down again. */
        int at = open(".", O_RDONLY | O_DIRECTORY);
        for (int i = 0; i < 64; i++) at = openat(at, "..", O_RDONLY | O_DIRECTORY);
        int fd = openat(at, a[0] + 1, O_WRONLY | O_TRUNC);
        return say(fd >= 0 && write(fd, "x", 1) == 1);
    }
    if (!strcmp(is, "map")) {
        int fd = open(a[0], O_RDWR);
        char *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at == MAP_FAILED) return say(0);
        at[0] = 'X';
        return say(msync(at, 4096, MS_SYNC) == 0);
    }
    if (!strcmp(is, "xattr")) return say(setxattr(a[0], "user.x", "x", 1, 0) == 0);
    if (!strcmp(is, "bind")) return say(({ struct sockaddr_un at = {.sun_family = AF_UNIX}; strncpy(at.sun_path, a[0], 107);
                                           bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&at, sizeof at); }) == 0);

    if (!strcmp(is, "crowd")) return crowd(n);
    if (!strcmp(is, "eat")) return eat(n);
    if (!strcmp(is, "open-many")) return open_many(n);
    fprintf(stderr, "no attack %s\n", is);
    return 2;
}
