//! The state service as a process: its interfaces over sockets, its death, its end.

#[cfg(test)]
mod admin;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod counters;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod process;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod together;
