//! The second level: core's own cache, feed client, verifier and issuer, on the model store, under tokio's paused clock.
//!
//! One seed is one schedule: the runtime has one thread, its clock moves only when everything waits, and no choice is taken
//! from anywhere but the seed. Three things differ between two runs of a seed all the same: the secrets, which core takes from
//! the operating system; the order in which hash maps are walked; and the order in which tokio wakes those who watch the same
//! thing, which it draws from a generator that only `tokio_unstable` lets one seed. None of them shows in the history but for
//! the order of events of the same instant, and a test holds that.
//!
//! The races are no schedules: they run on real threads, and a seed does not repeat them.

mod clock;
mod driver;
mod head;
mod race;
mod store;

pub use driver::run;
pub use race::race;
