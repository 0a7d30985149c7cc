//! An engine behind TLS: each side proves who it is, and nothing goes on without.

use std::{fs, path::Path, process::Command};

use super::{
    engine::Engine,
    world::{agent_sandbox, image},
};

/// An authority, and certificates of it for an engine on the loopback and for who uses it.
const CERTIFICATES: &str = r#"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
for who in server client; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=$who -keyout $who.key -out $who.csr
    printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=%sAuth\n' $who >$who.ext
    openssl x509 -req -days 2 -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile $who.ext -out $who.pem
done
cp client.pem cert.pem; cp client.key key.pem
"#;

fn certificates(folder: &Path) {
    fs::create_dir(folder).unwrap();
    let made = Command::new("sh").args(["-ec", CERTIFICATES]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn an_engine_behind_tls_is_verified_and_verifies() {
    let Some(image) = image() else { return };
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    let (good, bad, workspace) = (root.join("good"), root.join("bad"), root.join("workspace"));
    certificates(&good);
    certificates(&bad);
    fs::create_dir(&workspace).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = |name: &str| good.join(name).display().to_string();
    let host = format!("tcp://127.0.0.1:{port}");
    let arguments = [
        "-H".into(),
        host.clone(),
        "--tlsverify".into(),
        format!("--tlscacert={}", file("ca.pem")),
        format!("--tlscert={}", file("server.pem")),
        format!("--tlskey={}", file("server.key")),
    ];
    let Some(engine) = Engine::with(&root, &arguments) else { return };
    engine.load(image);
    let run = |folder: Option<&Path>| {
        let mut command =
            agent_sandbox(&root, &workspace, &["bash", "-c", "head -c 300000 /dev/zero > big; echo far"]);
        command.env("DOCKER_HOST", &host);
        if let Some(folder) = folder {
            command.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", folder);
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.code(), said.concat())
    };
    assert_eq!(run(Some(&good)), (Some(0), "far\n".to_owned()));
    assert_eq!(fs::metadata(workspace.join("big")).unwrap().len(), 300_000);
    // An engine of another authority; one that does not know us; no certificates; no TLS.
    let (code, said) = run(Some(&bad));
    assert!(
        code == Some(6) && said.contains("invalid peer certificate") && said.contains("DOCKER_CERT_PATH"),
        "{said}"
    );
    fs::copy(good.join("ca.pem"), bad.join("ca.pem")).unwrap();
    let (code, said) = run(Some(&bad));
    assert!(code == Some(6) && said.contains("with TLS: received fatal alert"), "{said}");
    let (code, said) = run(Some(&root));
    assert!(code == Some(6) && said.contains("ca.pem"), "{said}");
    let (code, said) = run(None);
    assert!(code == Some(6) && said.contains("HTTPS"), "{said}");
}
