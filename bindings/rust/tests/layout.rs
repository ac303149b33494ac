// SPDX-License-Identifier: BSD-2-Clause
//! `sys` against the header: what a C compiler says of structs and constants, and the types of
//! functions, read from both texts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};
use tidemark::sys;

const RUST: &str = include_str!("../src/sys.rs");

/// tidemark/tidemark.h: of the sources that this crate lies among, or, of a crate by itself, of
/// vendor/.
fn header() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let around = here.join("../../include/tidemark/tidemark.h");
    if around.exists() {
        around
    } else {
        here.join("vendor/tidemark.h")
    }
}

/// Constants of sys.rs, and the errno values of the crate.
fn constants() -> Vec<(String, i64)> {
    let mut constants: Vec<_> = RUST
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub const "))
        .map(|line| {
            let (name, rest) = line.split_once(':').unwrap();
            let value = rest.split_once('=').unwrap().1.trim().trim_end_matches(';');
            (name.to_string(), value.parse().unwrap())
        })
        .collect();
    assert!(constants.len() > 25, "only {} constants found", constants.len());
    use tidemark::Error::*;
    for (name, error) in [
        ("ENOENT", NotFound),
        ("ENOMEM", OutOfMemory),
        ("EACCES", Access),
        ("EFAULT", Fault),
        ("EBUSY", Busy),
        ("EEXIST", Exists),
        ("EINVAL", Invalid),
        ("ENOSPC", NoSpace),
        ("ERANGE", OutsideAperture),
        ("EMSGSIZE", TooManySegments),
        ("ENOTSUP", NotSupported),
        ("EDEADLK", InSection),
    ] {
        constants.push((name.to_string(), error.errno().into()));
    }
    constants
}

/// What Rust takes for so, as a C compiler has to see it: lines of a program.
fn assertions(layouts: &[sys::Layout], constants: &[(String, i64)]) -> String {
    let mut text = String::new();
    for layout in layouts {
        let name = layout.name;
        let mut must = |what: String, value: usize| {
            writeln!(text, "_Static_assert({what} == {value}, \"{name}\");").unwrap();
        };
        must(format!("sizeof(struct {name})"), layout.size);
        must(format!("_Alignof(struct {name})"), layout.align);
        for &(field, offset, size) in &layout.fields {
            must(format!("offsetof(struct {name}, {field})"), offset);
            must(format!("sizeof(((struct {name} *)0)->{field})"), size);
        }
    }
    for (name, value) in constants {
        writeln!(text, "_Static_assert({name} == {value}, \"{name}\");").unwrap();
    }
    text
}

/// Whether a C compiler agrees.
fn agrees(assertions: &str, name: &str) -> bool {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = directory.join(format!("layout-{name}.c"));
    let header = header();
    let text = format!(
        "#include \"{}\"\n#include <errno.h>\n#include <stddef.h>\n{assertions}",
        header.display()
    );
    fs::write(&file, text).unwrap();
    let output = Command::new(env::var("CC").unwrap_or_else(|_| "cc".to_string()))
        .args(["-std=c11", "-fsyntax-only", "-I"])
        .arg(header.parent().unwrap().parent().unwrap())
        .arg(&file)
        .output()
        .unwrap();
    if !output.status.success() && name == "true" {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

#[test]
fn structs_and_constants_are_those_of_the_header() {
    assert!(agrees(&assertions(&sys::layouts(), &constants()), "true"));
}

type Mistake = fn(&mut [sys::Layout], &mut [(String, i64)]);

#[test]
fn another_layout_or_constant_is_noticed() {
    let mistakes: [Mistake; 5] = [
        |layouts, _| layouts[0].size += 8,
        |layouts, _| layouts[0].align *= 2,
        |layouts, _| layouts[0].fields[1].1 += 8,
        |layouts, _| layouts[0].fields[3].2 += 4,
        |_, constants| constants[0].1 += 1,
    ];
    for (number, mistake) in mistakes.iter().enumerate() {
        let (mut layouts, mut constants) = (sys::layouts(), constants());
        mistake(&mut layouts, &mut constants);
        assert!(!agrees(&assertions(&layouts, &constants), &format!("mistake-{number}")));
    }
}

#[test]
fn every_field_of_the_header_is_there() {
    let header = without_comments(&fs::read_to_string(header()).unwrap());
    let layouts = sys::layouts();
    for (at, _) in header.match_indices("\nstruct ") {
        let rest = &header[at + "\nstruct ".len()..];
        let (name, body) = match rest.split_once(" {\n") {
            Some((name, body)) if !name.contains(';') && !name.contains('\n') => (name, body),
            _ => continue,
        };
        let body = &body[..body.find("\n}").unwrap()];
        let count = body.split(';').filter(|field| !field.trim().is_empty()).fold(0, |n, field| {
            n + if field.contains('(') { 1 } else { 1 + field.matches(',').count() }
        });
        let layout = layouts.iter().find(|layout| layout.name == name);
        let layout = layout.unwrap_or_else(|| panic!("struct {name} is not in sys.rs"));
        assert_eq!(layout.fields.len(), count, "fields of struct {name}");
    }
}

fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// A C type in Rust.
fn rust_type(c: &str) -> String {
    let stars = c.matches('*').count();
    let base = c.replace('*', " ");
    let mut words: Vec<_> = base.split_whitespace().collect();
    let constant = words.first() == Some(&"const");
    if constant {
        words.remove(0);
    }
    let base = match words.join(" ").as_str() {
        "tide_removed_fn" => return "Option<tide_removed_fn>".to_string(),
        "uint64_t" => "u64",
        "uint32_t" => "u32",
        "size_t" => "usize",
        "int" => "c_int",
        "unsigned" => "c_uint",
        "char" => "c_char",
        "void" => "c_void",
        "bool" => "bool",
        other => {
            let name = other.strip_prefix("struct ").or_else(|| other.strip_prefix("enum "));
            return pointers(name.unwrap_or_else(|| panic!("what is {other}?")), stars, constant);
        }
    };
    pointers(base, stars, constant)
}

fn pointers(base: &str, stars: usize, constant: bool) -> String {
    (0..stars).fold(base.to_string(), |inner, depth| {
        format!("{}{inner}", if constant && depth == 0 { "*const " } else { "*mut " })
    })
}

/// Name -> types of the parameters, and of what is returned.
type Functions = BTreeMap<String, Vec<String>>;

fn functions_of_c(text: &str) -> Functions {
    let text = without_comments(text).replace("TIDE_NODISCARD", "");
    let mut functions = Functions::new();
    for statement in text.split([';', '{', '}']) {
        let lines = statement.lines().filter(|line| !line.trim_start().starts_with('#'));
        let statement = lines.collect::<Vec<_>>().join(" ");
        let statement = statement.trim();
        let (head, parameters) = match statement.split_once('(') {
            Some(parts) if statement.ends_with(')') => parts,
            _ => continue,
        };
        let inline = head.trim_start().starts_with("static");
        let name = head.rsplit([' ', '*']).next().unwrap();
        if inline || head.starts_with("typedef") || !name.starts_with("tide_") {
            continue;
        }
        let mut types: Vec<_> = parameters[..parameters.len() - 1]
            .split(',')
            .map(|parameter| rust_type(parameter.trim().trim_end_matches(is_name)))
            .collect();
        let returned = &head[..head.len() - name.len()];
        types.push(if returned.trim() == "void" { String::new() } else { rust_type(returned) });
        functions.insert(name.to_string(), types);
    }
    functions
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn functions_of_rust(text: &str) -> Functions {
    let mut functions = Functions::new();
    let text = &text[text.find("extern \"C\" {").unwrap()..];
    for statement in text.split(';') {
        let (_, function) = match statement.split_once("pub fn ") {
            Some(parts) => parts,
            None => continue,
        };
        let (name, rest) = function.split_once('(').unwrap();
        let (parameters, returned) = rest.rsplit_once(')').unwrap();
        let mut types: Vec<_> = parameters
            .split(',')
            .filter_map(|parameter| parameter.split_once(':'))
            .map(|(_, kind)| kind.trim().to_string())
            .collect();
        types.push(returned.trim().trim_start_matches("->").trim().to_string());
        functions.insert(name.to_string(), types);
    }
    functions
}

#[test]
fn functions_are_those_of_the_header() {
    let text = fs::read_to_string(header()).unwrap();
    // Of the amalgamation's header, save.h is a part.
    let text = text.split("TIDEMARK_SAVE_H").next().unwrap();
    let (c, rust) = (functions_of_c(text), functions_of_rust(RUST));
    assert!(rust.len() > 70, "only {} functions found", rust.len());
    assert_eq!(c, rust);
}

#[test]
fn another_signature_is_noticed() {
    let c = functions_of_c(&fs::read_to_string(header()).unwrap());
    for (what, instead) in [
        ("tide_destroy(tree: *mut tide)", "tide_destroy(tree: *const tide)"),
        ("address: u64", "address: u32"),
        ("pub fn tide_barrier(tree: *mut tide);", ""),
        ("-> tide_isa", "-> c_int"),
    ] {
        let changed = RUST.replacen(what, instead, 1);
        assert_ne!(changed, RUST);
        assert_ne!(c, functions_of_rust(&changed));
    }
}
