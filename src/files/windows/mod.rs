//! The store on Windows: by path. No agent is confined there, so one that plants
//! a link gains nothing that it could not do by itself; links are not followed
//! all the same. Directories have the access list of the one they lie in.

pub mod beneath;
pub mod directory;
pub mod remove;
