// SPDX-License-Identifier: BSD-2-Clause
//! Tidemark maps ranges of a 64-bit address space to targets: the IOVA table of a VMM or a user-space
//! driver. Readers translate without a lock, ever; one writer maps, splits and unmaps. This crate is
//! the C library with its rules made types.
//!
//! | | is | may go to other threads |
//! | --- | --- | --- |
//! | [`Tree`] | the one writer | `Send` |
//! | [`Reader`] | who asks beside it | `Send + Sync + Clone` |
//! | [`Guard`] | a read-side section of a reader | no |
//! | [`Txn`] | changes that are seen at one instant; aborted on drop | no |
//! | [`Snapshot`] | the tree as it was | `Send + Sync` |
//!
//! Questions are methods of [`View`], which a guard lends, and of [`Still`], which lends a view and is
//! lent by trees, transactions and snapshots.
//!
//! ```
//! use tidemark::{Error, Flags, Mapping, Policy, Tree};
//!
//! # fn main() -> Result<(), Error> {
//! let mut tree = Tree::new()?;
//! tree.map(&Mapping::new(0x1000..=0x1fff, 0x7f00_0000_0000, Flags::READ | Flags::WRITE))?;
//!
//! let reader = tree.reader();
//! let device = std::thread::spawn(move || {
//!     let guard = reader.enter(); // what it finds stays until the guard is dropped
//!     guard.lookup(0x1800).and_then(|mapping| mapping.translate(0x1800))
//! });
//! assert_eq!(device.join().unwrap(), Some(0x7f00_0000_0800));
//!
//! let gone = tree.unmap(0..=u64::MAX, Policy::Split)?;
//! assert_eq!((gone.mappings, gone.addresses), (1, 0x1000));
//! tree.synchronize()?; // no reader uses what was unmapped: its memory may be freed
//! # Ok(())
//! # }
//! ```
//!
//! A scatter list, and an unmap that must not cut:
//!
//! ```
//! use tidemark::{Error, Flags, Mapping, Options, Policy, Segment};
//!
//! # fn main() -> Result<(), Error> {
//! let mut tree = Options::new().granule(0x1000).max_mappings(65_535).build()?;
//! tree.map(&Mapping::new(0x0000..=0x0fff, 0xa000, Flags::READ))?;
//! tree.map(&Mapping::new(0x1000..=0x2fff, 0x5000, Flags::READ))?;
//!
//! let reader = tree.reader();
//! let guard = reader.enter();
//! let mut segments = [Segment::default(); 8];
//! let segments = guard.translate(0x800..=0x17ff, Flags::READ, true, &mut segments)?;
//! assert_eq!(segments[0], Segment { target: 0xa800, start: 0x800, last: 0xfff });
//! assert_eq!(segments[1], Segment { target: 0x5000, start: 0x1000, last: 0x17ff });
//! let refused = guard.translate(0x2800..=0x37ff, Flags::READ, true, &mut []).unwrap_err();
//! assert_eq!((refused.error, refused.bad), (Error::NotFound, 0x3000));
//! drop(guard); // writes might wait for it
//!
//! assert_eq!(tree.unmap(0x1000..=0x1fff, Policy::Whole), Err(Error::Invalid));
//! # Ok(())
//! # }
//! ```
//!
//! A transaction is seen whole; a snapshot shows what was there before it:
//!
//! ```
//! use tidemark::{Difference, Error, Flags, Mapping, Policy, Tree};
//!
//! # fn main() -> Result<(), Error> {
//! let mut tree = Tree::new()?;
//! let ram = Mapping::new(0..=0xffff, 0x10_0000, Flags::READ);
//! tree.map(&ram)?;
//! let before = tree.snapshot()?;
//!
//! let mut txn = tree.begin()?;
//! txn.unmap(0..=u64::MAX, Policy::Split)?;
//! let moved = txn.map_anywhere(&Default::default(), 7, Flags::READ | Flags::OPAQUE)?;
//! txn.commit();
//!
//! assert_eq!(before.lookup(5), Some(ram));
//! assert_eq!(tree.lookup(0), Some(moved));
//! let differences: Vec<_> = before.diff(&tree, 0..=u64::MAX).collect();
//! assert_eq!(differences, [Difference::Unmap(ram), Difference::Map(moved)]);
//! # Ok(())
//! # }
//! ```
//!
//! # Grace periods
//!
//! A tree that is asked beside its writer needs to know when readers are gone. [`Epochs`] does that with
//! std alone; who has an RCU already, such as that of `crossbeam-epoch`, implements [`Rcu`] for it and
//! makes trees with [`Options::build_with`].
//!
//! # What is not here
//!
//! Removal callbacks that are told after a grace period, allocators, trace hooks, the saved form and the
//! containers of the C library. The first four are in [`sys`]'s header or beside it; [`sys`] declares
//! what `tidemark/tidemark.h` does.
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
#![warn(missing_debug_implementations, rust_2018_idioms)]

mod error;
mod rcu;
pub mod sys;
mod tree;
mod types;
mod view;

pub use error::Error;
pub use rcu::{Deferred, Epochs, Rcu, Section};
pub use tree::{Guard, Isa, Options, Reader, Snapshot, Tree, Txn};
pub use types::{
    Difference, Flags, Forecast, HoleRequest, Mapping, Policy, Run, Segment, Statistics, Unmapped,
};
pub use view::{Cursor, Differences, Holes, Overlaps, Runs, Sources, Still, Untranslated, View};
