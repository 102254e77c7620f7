//! Tests of what the gateway does with its host: descriptors, DNS, file modes, clocks, disk space, proxies in front, and
//! a second process on the same file.

mod clocks;
mod connections;
mod disk_space;
mod dns;
mod files;
mod one_server;
mod proxies;
mod shortages;
