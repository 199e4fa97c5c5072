//! One exchange as a machine.
