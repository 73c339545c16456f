//! Files over real stores: what holds for one gateway after another, two at once, and one that ends in the middle.

// The lint's exception for tests does not reach their helpers.
#![allow(clippy::unwrap_used)]

mod bucket;
mod folder;
mod suite;
