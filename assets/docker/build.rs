//! Compiles the porter: the program that goes into containers. It stands for itself: see `porter.rs`.

use std::{env, path::PathBuf, process::Command};

const SOURCE: &str = "assets/docker/porter.rs";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=assets/docker/build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let var = |name: &str| env::var(name).unwrap_or_default();
    let to = PathBuf::from(var("OUT_DIR")).join("porter");
    let wanted = var("CARGO_CFG_TARGET_OS") == "linux"
        && ["x86_64", "aarch64"].contains(&var("CARGO_CFG_TARGET_ARCH").as_str());
    if wanted {
        let mut rustc = Command::new(var("RUSTC"));
        rustc
            .args(["--edition=2024", "--crate-name=porter", "--target", &var("TARGET"), SOURCE, "-o"])
            .arg(&to);
        for option in
            ["panic=abort", "opt-level=2", "relocation-model=static", "strip=symbols", "overflow-checks=off"]
        {
            rustc.args(["-C", option]);
        }
        // The engine's machine may be an older one.
        for argument in
            ["-nostartfiles", "-nostdlib", "-static", "-no-pie", "-Wl,--gc-sections", "-Wl,--build-id=none"]
        {
            rustc.args(["-C", &format!("link-arg={argument}")]);
        }
        if let Ok(linker) = env::var("RUSTC_LINKER") {
            rustc.args(["-C", &format!("linker={linker}")]);
        }
        match rustc.output() {
            Ok(output) if output.status.success() => return,
            Ok(output) => warn(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => warn(&error.to_string()),
        }
    }
    // What then can't be had in containers is said where it is asked for.
    std::fs::write(&to, []).expect("the build directory can be written");
}

fn warn(why: &str) {
    println!(
        "cargo::warning=containers get no porter, and so no network through the proxy: {}",
        why.replace('\n', " ")
    );
}
