//! The program itself in a container that an engine confines as it does by default, where it may make no namespaces: a
//! container for development, or a job of a build server.

use std::process::Command;

use super::world::image_with;
use crate::support::program;

/// What the program is linked with, beside the programs of the other tests.
const PROGRAMS: &str = "expr kill setpriv /usr/lib/*-linux-gnu/libgcc_s.so.1 /usr/lib/*-linux-gnu/libm.so.6";

const SCRIPT: &str = r#"
set -eu
export HOME=/tmp/h AGENT_HOME=/tmp/own
mkdir -p $HOME /tmp/work
cd /tmp/work
echo hello > file; echo TOKEN > .env; echo secret > $HOME/secret
echo "-- doctor"; /agent doctor | grep sandbox || :
echo "-- explain"; /agent sandbox explain -s read-only || echo broken
echo "-- inside"
/agent sandbox -s read-only -- sh -c '
    cat file
    for path in .env /tmp/h/secret /proc/1/environ /etc/shadow; do cat $path && echo "READ $path"; done
    for path in file new /tmp/h/secret /tmp/h/new /tmp/new /etc/new /usr/new; do echo x > $path && echo "WROTE $path"; done
    chmod 777 file && echo "CHMOD file"
    kill -9 1 && echo KILLED
    echo own > $HOME/own && chmod 600 $HOME/own && cat $HOME/own
    setsid sleep 98765 > /dev/null 2>&1 < /dev/null &
    echo end
' 2> /dev/null
echo "-- after"
grep -c . file .env $HOME/secret; stat -c %a file
for line in /proc/[0-9]*/cmdline; do tr "\\0" " " < $line | grep -q "^sleep 98765" && echo LIVES; done || :
echo "-- write"
/agent sandbox -- sh -c 'echo two >> file; cat file; echo x > /tmp/h/new && echo WROTE; true' 2> /dev/null
"#;

#[test]
fn in_a_container_the_program_holds_commands_by_rules_alone() {
    let Some(image) = image_with(PROGRAMS) else { return };
    for user in ["0", "1000"] {
        let mount = format!("{}:/agent:ro", program().display());
        // The image's own directories are open to whoever made it alone.
        let become_user = format!(
            "chmod 755 / && chmod 1777 /tmp && exec setpriv --reuid {user} --regid {user} --clear-groups sh -c \"$0\""
        );
        let output = Command::new("docker")
            .args(["run", "--rm", "--network", "none", "-v", &mount, "--workdir", "/", image])
            .args(["sh", "-c", &become_user, SCRIPT])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{user}: {text}{said}");
        let part = |name: &str| {
            let (_, rest) =
                text.split_once(&format!("-- {name}\n")).unwrap_or_else(|| panic!("{user}: {text}{said}"));
            rest.split("-- ").next().unwrap().to_owned()
        };
        let doctor = part("doctor");
        assert!(
            doctor.contains("✗ sandbox namespaces") && doctor.contains("✓ sandbox landlock"),
            "{user}: {doctor}"
        );
        let explained = part("explain");
        assert!(!explained.contains('✗') && !explained.contains("broken"), "{user}: {explained}");
        assert!(explained.contains("✓ reads nothing of yours outside of it"), "{user}: {explained}");
        assert_eq!(part("inside"), "hello\nown\nend\n", "{user}: {said}");
        assert_eq!(part("after"), "file:1\n.env:1\n/tmp/h/secret:1\n644\n", "{user}");
        assert_eq!(part("write"), "hello\ntwo\n", "{user}: {said}");
    }
}
