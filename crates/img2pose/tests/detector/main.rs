//! The detector from outside: files of each behaviour. What counts allocations or threads, limits memory, or loads another
//! ONNX Runtime has a program of its own beside this one.

#[path = "../class_head/mod.rs"]
mod class_head;

mod frame;
mod golden;
mod model_errors;
mod precision;
mod providers;
mod regions;
mod views;
