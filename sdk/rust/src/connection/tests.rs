//! The state machine, alone: single steps, and random lives against a model of the service.

mod model;
mod simulation;
mod steps;
mod vectors;
