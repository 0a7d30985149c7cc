//! A table of system calls as a program that the kernel runs at every call.
//!
//! The program is a search tree over the numbers, so that it stays cheap to install and to run. It does not know
//! what the calls mean.

use std::collections::{BTreeMap, BTreeSet};

use libc::{
    BPF_ABS, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, c_long, sock_filter,
};

/// The architecture that the numbers belong to. Calls of any other one kill their process.
#[cfg(target_arch = "x86_64")]
pub(super) const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const ARCH: u32 = 0xc000_00b7;

/// From here on are the numbers of x32, which claims to be x86-64. No other architecture has calls there.
const FOREIGN: u32 = 0x4000_0000;

/// What a listed call is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) enum Answer {
    /// This error, always.
    Refuse(i32),
    /// "Not permitted", if all tests hold.
    RefuseIf(Vec<Test>),
}

/// A test on the lower half of an argument. All arguments that we look at are 32 bits wide for the kernel too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) enum Test {
    AnyBit(u8, u32),
    OneOf(u8, Vec<u32>),
    NoneOf(u8, Vec<u32>),
}

/// Places in what the kernel hands to a filter.
const NUMBER_AT: u32 = 0;
const ARCH_AT: u32 = 4;

/// The program that allows every call but the listed ones. A call that is listed more than once is answered by the
/// first rule that refuses it.
pub(super) fn program(rules: &[(c_long, Answer)]) -> Vec<sock_filter> {
    let mut listed: BTreeMap<u32, Vec<&Answer>> = BTreeMap::new();
    for (call, answer) in rules {
        if let Ok(number) = u32::try_from(*call) {
            listed.entry(number).or_default().push(answer);
        }
    }
    let leaves: Vec<(u32, Vec<sock_filter>)> =
        listed.into_iter().map(|(number, answers)| (number, leaves(&answers))).collect();
    finding(&leaves)
}

/// The program that has somebody else asked about these calls, who then makes them in the caller's place or not.
pub(super) fn asking(calls: &[c_long]) -> Vec<sock_filter> {
    let numbers: BTreeSet<u32> = calls.iter().filter_map(|call| u32::try_from(*call).ok()).collect();
    let ask = |number| (number, vec![answer(libc::SECCOMP_RET_USER_NOTIF)]);
    finding(&numbers.into_iter().map(ask).collect::<Vec<_>>())
}

/// The program that gives each number its leaf, in their order.
fn finding(leaves: &[(u32, Vec<sock_filter>)]) -> Vec<sock_filter> {
    let mut program = vec![
        load(ARCH_AT),
        jump(BPF_JEQ, ARCH, 1, 0),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER_AT),
        jump(BPF_JGE, FOREIGN, 0, 1),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
    ];
    program.extend(tree(leaves));
    program
}

/// Finds the leaf of the loaded number, or allows it.
fn tree(leaves: &[(u32, Vec<sock_filter>)]) -> Vec<sock_filter> {
    match leaves {
        [] => vec![answer(libc::SECCOMP_RET_ALLOW)],
        [(number, leaf)] => {
            let mut code = vec![jump(BPF_JEQ, *number, 1, 0), answer(libc::SECCOMP_RET_ALLOW)];
            code.extend_from_slice(leaf);
            code
        }
        _ => {
            let (low, high) = leaves.split_at(leaves.len() / 2);
            let pivot = high.first().map_or(0, |(number, _)| *number);
            let (low, high) = (tree(low), tree(high));
            // Short jumps reach 255 steps only: the long way is taken by a jump of its own.
            let over_low = u32::try_from(low.len()).unwrap_or(u32::MAX);
            let mut code =
                vec![jump(BPF_JGE, pivot, 0, 1), sock_filter { k: over_low, ..jump(BPF_JA, 0, 0, 0) }];
            code.extend(low);
            code.extend(high);
            code
        }
    }
}

/// Decides about one call, by all its rules: what one of them would allow goes on to the next.
fn leaves(answers: &[&Answer]) -> Vec<sock_filter> {
    let mut code: Vec<sock_filter> = Vec::new();
    for (at, what) in answers.iter().enumerate() {
        let mut next = leaf(what);
        if at + 1 < answers.len() {
            let length = next.len();
            for (place, step) in next.iter_mut().enumerate() {
                if *step == answer(libc::SECCOMP_RET_ALLOW) {
                    let rest = u32::try_from(length - 1 - place).unwrap_or(u32::MAX);
                    *step = sock_filter { k: rest, ..jump(BPF_JA, 0, 0, 0) };
                }
            }
        }
        code.extend(next);
    }
    code
}

/// Decides about one call, by one rule. Ends in an answer.
fn leaf(what: &Answer) -> Vec<sock_filter> {
    match what {
        Answer::Refuse(errno) => vec![answer(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())],
        Answer::RefuseIf(tests) => {
            let mut code: Vec<sock_filter> = tests.iter().flat_map(test).collect();
            code.push(answer(libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()));
            code
        }
    }
}

/// Allows the call unless the test holds; goes on behind itself if it does.
fn test(test: &Test) -> Vec<sock_filter> {
    let (argument, operation, values, on_match) = match test {
        Test::AnyBit(argument, bits) => (argument, BPF_JSET, std::slice::from_ref(bits), true),
        Test::OneOf(argument, values) => (argument, BPF_JEQ, values.as_slice(), true),
        Test::NoneOf(argument, values) => (argument, BPF_JEQ, values.as_slice(), false),
    };
    let mut code = vec![load(16 + 8 * u32::from(*argument))];
    for at in 0..values.len() {
        let value = values.get(at).copied().unwrap_or_default();
        // Lists are a handful of values long.
        let rest = u8::try_from(values.len() - 1 - at).unwrap_or(u8::MAX);
        code.push(jump(operation, value, if on_match { rest + 1 } else { rest }, 0));
    }
    if !on_match {
        // No value matched: over the answer.
        code.push(sock_filter { k: 1, ..jump(BPF_JA, 0, 0, 0) });
        // A match jumps here.
        for step in code.iter_mut().skip(1).take(values.len()) {
            step.jt += 1;
        }
    }
    code.push(answer(libc::SECCOMP_RET_ALLOW));
    code
}

fn load(place: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0, place)
}

fn jump(operation: u32, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    instruction(BPF_JMP | operation | BPF_K, if_true, if_false, value)
}

fn answer(value: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, 0, 0, value)
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the kernel would answer: a machine for the few instructions that we use.
    pub(in crate::sandbox::linux) fn run(
        program: &[sock_filter],
        arch: u32,
        number: u32,
        args: [u32; 4],
    ) -> u32 {
        let (mut at, mut value) = (0_usize, 0_u32);
        loop {
            let step = program[at];
            let code = u32::from(step.code);
            at += 1;
            if code == BPF_RET | BPF_K {
                return step.k;
            }
            if code == BPF_LD | BPF_W | BPF_ABS {
                value = match step.k {
                    0 => number,
                    4 => arch,
                    place => args[(place as usize - 16) / 8],
                };
                continue;
            }
            let holds = match code & !(BPF_JMP | BPF_K) {
                BPF_JA => {
                    at += step.k as usize;
                    continue;
                }
                BPF_JEQ => value == step.k,
                BPF_JGE => value >= step.k,
                BPF_JSET => value & step.k != 0,
                other => panic!("instruction {other:#x}"),
            };
            at += usize::from(if holds { step.jt } else { step.jf });
        }
    }

    fn holds(test: &Test, args: [u32; 4]) -> bool {
        match test {
            Test::AnyBit(at, bits) => args[usize::from(*at)] & bits != 0,
            Test::OneOf(at, values) => values.contains(&args[usize::from(*at)]),
            Test::NoneOf(at, values) => !values.contains(&args[usize::from(*at)]),
        }
    }

    fn any_test() -> impl Strategy<Value = Test> {
        let values = || prop::collection::vec(0..8_u32, 1..5);
        prop_oneof![
            (0..4_u8, 0..8_u32).prop_map(|(at, bits)| Test::AnyBit(at, bits)),
            (0..4_u8, values()).prop_map(|(at, values)| Test::OneOf(at, values)),
            (0..4_u8, values()).prop_map(|(at, values)| Test::NoneOf(at, values)),
        ]
    }

    fn any_answer() -> impl Strategy<Value = Answer> {
        prop_oneof![
            (1..100_i32).prop_map(Answer::Refuse),
            prop::collection::vec(any_test(), 1..3).prop_map(Answer::RefuseIf),
        ]
    }

    proptest! {
        #[test]
        fn the_program_answers_as_the_table_does(
            rules in prop::collection::btree_map(
                0..600_i64,
                prop::collection::vec(any_answer(), 1..4),
                0..100,
            ),
            numbers in prop::collection::vec((0..600_u32, any::<prop::sample::Index>()), 30),
            args in prop::array::uniform4(0..8_u32),
        ) {
            let table: Vec<(c_long, Answer)> = rules
                .iter()
                .flat_map(|(call, answers)| answers.iter().map(|answer| (*call, answer.clone())))
                .collect();
            let program = program(&table);
            prop_assert!(program.len() < 4096, "the kernel takes no more");
            for (mut number, pick) in numbers {
                // Half of them from the table.
                if number % 2 == 0 && !table.is_empty() {
                    number = u32::try_from(table[pick.index(table.len())].0).unwrap();
                }
                let answers = rules.get(&i64::from(number)).map_or(&[][..], Vec::as_slice);
                let refusal = answers.iter().find_map(|answer| match answer {
                    Answer::Refuse(errno) => Some(*errno),
                    Answer::RefuseIf(tests) => {
                        tests.iter().all(|test| holds(test, args)).then_some(libc::EPERM)
                    }
                });
                let want = refusal
                    .map_or(libc::SECCOMP_RET_ALLOW, |errno| libc::SECCOMP_RET_ERRNO | errno.cast_unsigned());
                prop_assert_eq!(run(&program, ARCH, number, args), want);
            }
        }
    }

    #[test]
    fn who_is_to_be_asked_is_asked_about_these_calls_alone() {
        let program = asking(&[90, 91, 268]);
        for (number, want) in [
            (89, libc::SECCOMP_RET_ALLOW),
            (90, libc::SECCOMP_RET_USER_NOTIF),
            (91, libc::SECCOMP_RET_USER_NOTIF),
            (92, libc::SECCOMP_RET_ALLOW),
            (268, libc::SECCOMP_RET_USER_NOTIF),
        ] {
            assert_eq!(run(&program, ARCH, number, [0; 4]), want, "{number}");
        }
        assert_eq!(run(&program, 0x4000_0003, 90, [0; 4]), libc::SECCOMP_RET_KILL_PROCESS);
    }

    #[test]
    fn foreign_calls_kill() {
        let program = program(&[]);
        assert_eq!(run(&program, ARCH, 1, [0; 4]), libc::SECCOMP_RET_ALLOW);
        assert_eq!(run(&program, 0x4000_0003, 1, [0; 4]), libc::SECCOMP_RET_KILL_PROCESS);
        assert_eq!(run(&program, ARCH, FOREIGN + 1, [0; 4]), libc::SECCOMP_RET_KILL_PROCESS);
    }
}
