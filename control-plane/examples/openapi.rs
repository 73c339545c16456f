//! Prints the document that `/openapi.json` serves, for docs/reference/openapi.json:
//! `scripts/cargo run -p tidings-control-plane --example openapi > docs/reference/openapi.json`

#![allow(clippy::print_stdout)] // It is for a file.

use std::error::Error;

use prost_reflect::DescriptorPool;
use tidings_control_plane::rest::openapi;
use tidings_control_plane::rest::rules::Rules;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = DescriptorPool::decode(tidings_proto::DESCRIPTORS)?;
    println!("{:#}", openapi::document(&pool, &Rules::of(&pool)?));
    Ok(())
}
