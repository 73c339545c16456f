//! Has the binary compiled again when the web app that it embeds was built again. `scripts/cargo` names the build in
//! TIDINGS_WEB_APP, because cargo does not notice that a folder appears.

fn main() {
    let dist = "sdk/web/messenger/dist";
    println!("cargo:rerun-if-env-changed=TIDINGS_WEB_APP");
    println!("cargo:rerun-if-changed=build.rs");
    if std::path::Path::new(dist).is_dir() {
        println!("cargo:rerun-if-changed={dist}");
    }
}
