// SPDX-License-Identifier: BSD-2-Clause
//! Finds the C library, or compiles it.
//!
//! With `TIDEMARK_LIB_DIR`, the directory of an installed `libtidemark.a` (or, with
//! `TIDEMARK_SHARED=1`, of a shared one). Else from one file, `vendor/tidemark.c`, or where there is
//! none as `tools/amalgamate.py` makes it from the sources that this crate lies among. `CC`, `AR`,
//! `CFLAGS` and `PYTHON` are heeded. In a debug profile the library stops at misuse, by assertions.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{exit, Command};

fn fail(why: &str) -> ! {
    eprintln!("tidemark: {why}");
    eprintln!("tidemark: set TIDEMARK_LIB_DIR to the directory of an installed libtidemark.a,");
    eprintln!("tidemark: or put tidemark.c and tidemark.h of tools/amalgamate.py into vendor/");
    exit(1);
}

fn run(command: &mut Command) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{command:?}: {status}")),
        Err(error) => fail(&format!("{command:?}: {error}")),
    }
}

fn tool(name: &str, or: &str) -> String {
    println!("cargo:rerun-if-env-changed={name}");
    env::var(name).unwrap_or_else(|_| or.to_string())
}

/// The directory of tidemark.c and tidemark.h.
fn amalgamation(here: &Path, out: &Path) -> PathBuf {
    let vendor = here.join("vendor");
    if vendor.join("tidemark.c").exists() {
        println!("cargo:rerun-if-changed=vendor");
        return vendor;
    }
    let root = here.join("../..");
    let script = root.join("tools/amalgamate.py");
    if !script.exists() {
        fail("the C library is neither in vendor/ nor around this crate");
    }
    for part in ["lib", "include/tidemark", "tools/amalgamate.py"] {
        println!("cargo:rerun-if-changed={}", root.join(part).display());
    }
    run(Command::new(tool("PYTHON", "python3")).arg(script).arg(out));
    out.to_path_buf()
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=TIDEMARK_LIB_DIR");
    println!("cargo:rerun-if-env-changed=TIDEMARK_SHARED");
    if let Ok(directory) = env::var("TIDEMARK_LIB_DIR") {
        let kind = if env::var_os("TIDEMARK_SHARED").is_some() { "dylib" } else { "static" };
        println!("cargo:rustc-link-search=native={directory}");
        println!("cargo:rustc-link-lib={kind}=tidemark");
        // A library that was built anew is linked anew.
        println!("cargo:rerun-if-changed={directory}/libtidemark.a");
        return;
    }

    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let source = amalgamation(&here, &out);
    let object = out.join("tidemark.o");
    let archive = out.join("libtidemark.a");

    let mut cc = Command::new(tool("CC", "cc"));
    cc.args(["-std=c11", "-O2", "-g", "-fPIC", "-c"]);
    cc.args(tool("CFLAGS", "").split_whitespace());
    if env::var("PROFILE").as_deref() == Ok("release") {
        cc.arg("-DNDEBUG");
    }
    run(cc.arg("-I").arg(&source).arg(source.join("tidemark.c")).arg("-o").arg(&object));
    let _ = std::fs::remove_file(&archive);
    run(Command::new(tool("AR", "ar")).arg("crs").arg(&archive).arg(&object));
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=tidemark");
}
