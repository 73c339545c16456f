//! Generates the contracts' Rust code: prost messages, tonic services, protobuf's JSON mapping, and the descriptor set
//! that gRPC reflection and REST/JSON serve. `protox` stands in for protoc, so that no system package is needed.

use std::error::Error;
use std::path::{Path, PathBuf};

/// Fields that stay slices of the buffer they came in.
const ZERO_COPY: &[&str] = &[
    ".tidings.broker.v1.Submit.content",
    ".tidings.broker.v1.Deliver.envelope",
    ".tidings.broker.v1.Transient.envelope",
    ".tidings.broker.v1.GroupTransient.envelope",
    ".tidings.message.v1.Content.data",
    ".tidings.message.v1.Activity.data",
    ".tidings.mailbox.v1",
    ".tidings.raft.v1",
];

/// Packages that people see as JSON.
const JSON: &[&str] = &[".tidings.client.v1", ".tidings.message.v1", ".tidings.errors.v1", ".tidings.group.v1"];

fn proto_files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            proto_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files = Vec::new();
    proto_files(Path::new("proto"), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    // With the options of methods, which the typed descriptors would drop.
    let encoded = compiler.encode_file_descriptor_set();
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), &encoded)?;

    let mut builder = tonic_prost_build::configure().btree_map(".").bytes(ZERO_COPY[0]);
    for path in &ZERO_COPY[1..] {
        builder = builder.bytes(*path);
    }
    builder.compile_fds(compiler.file_descriptor_set())?;

    pbjson_build::Builder::new().register_descriptors(&encoded)?.btree_map(["."]).build(JSON)?;
    // As operators write it: by the names in the .proto file.
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .preserve_proto_field_names()
        .build(&[".tidings.policy.v1"])?;
    Ok(())
}
