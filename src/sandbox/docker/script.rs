//! What runs inside a container for us, in the language of any `sh`: there is nothing else that every image has.
//!
//! Nothing here is trusted: what it says is checked where it is read.

use super::container::PORTER;

/// Marks the processes of one command, in their environment.
pub(super) const MARK: &str = "AGENT_COMMAND";

/// The first process of a container. It ends when its input does, which is the life line of the session, and reaps
/// orphans until then. It belongs to another user than commands do, so that they can't reach it.
pub(super) const FIRST: &str = r#"exec 3<&0
while :; do
    (while read -r _; do :; done) <&3 &
    wait $!
    [ $? -gt 128 ] || exit 0
done"#;

/// Ends everything of the command in session `$root` with the mark `$mark`, and orphans that bear no mark at all:
/// only who hides becomes one of these. Processes without a parent (0) are other commands, and ours.
const SWEEP: &str = r#"sweep() {
    round=0
    while [ $round -lt 200 ]; do
        round=$((round + 1)) doomed= files= orphans=
        for dir in /proc/[0-9]*; do
            pid=${dir#/proc/}
            [ $pid = 1 ] || [ $pid = $$ ] && continue
            read -r stat <$dir/stat || continue
            set -- ${stat##*) }
            [ "$1" = Z ] || [ "$2" = 0 ] && continue
            if [ "$4" = "$root" ]; then
                doomed="$doomed $pid"
            else
                files="$files $dir/environ"
                [ "$2" = 1 ] && orphans="$orphans $pid"
            fi
        done
        if [ -n "$files" ]; then
            for file in $(grep -ls "AGENT_COMMAND=$mark" $files); do
                file=${file%/environ}
                doomed="$doomed ${file#/proc/}"
            done
            for pid in $orphans; do
                grep -qs AGENT_COMMAND= /proc/$pid/environ || doomed="$doomed $pid"
            done
        fi
        again=
        for pid in $doomed; do
            kill -9 $pid && again=1
        done
        [ -n "$again" ] || return
    done
}
"#;

/// Runs a command: `sh -c RUN sh tty|pipes TOKEN DIRECTORY PROGRAM ARGUMENT...`. Says its own number first, which is that
/// of the session and of the process group as well; on a terminal it then waits until that has its size. With a token
/// the porter watches the terminal.
pub(super) fn run() -> String {
    let body = r#"echo $$
[ "$1" = pipes ] || read -r _
token=$2
shift 2
if ! cd -- "$1" 2>/dev/null; then
    echo "agent: cannot enter $1: it is not there in the container" >&2
    exit 126
fi
shift
root=$$ mark=$AGENT_COMMAND
exec 9>&2 2>/dev/null
trap : HUP INT QUIT TERM USR1 USR2
if [ -n "$token" ]; then
    PORTER/porter watch "$token" /bin/sh -c 'exec "$@"' sh "$@" 2>&9 9>&-
else
    (exec "$@") 2>&9 9>&-
fi
code=$?
sweep
exit $code"#;
    format!("{SWEEP}{}", body.replace("PORTER", PORTER))
}

/// Ends a command from beside: `sh -c END sh ROOT MARK`. The root is 0 when the command has not said it yet.
pub(super) fn end() -> String {
    format!("exec 2>/dev/null\n{SWEEP}root=$1 mark=$2\n[ $root = 0 ] || kill -9 $root\nsweep")
}

/// Sends a signal to the process group of a command: `sh -c SIGNAL sh NUMBER GROUP`.
pub(super) const SIGNAL: &str = r#"kill -$1 -$2 2>/dev/null || kill -$1 -- -$2"#;
