// SPDX-License-Identifier: BSD-2-Clause
//! What goes in and comes out: mappings, flags, counts.

use crate::sys;
use std::fmt;
use std::ops::{BitOr, BitOrAssign, RangeInclusive};

/// What may be done through a mapping. At least one of READ, WRITE and EXEC is set in each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct Flags(u32);

impl Flags {
    /// None. As what is asked for: any will do.
    pub const NONE: Flags = Flags(0);
    /// It may be read.
    pub const READ: Flags = Flags(sys::TIDE_READ);
    /// It may be written.
    pub const WRITE: Flags = Flags(sys::TIDE_WRITE);
    /// It may be executed.
    pub const EXEC: Flags = Flags(sys::TIDE_EXEC);
    /// The target is a handle, which the pieces of a cut mapping keep.
    pub const OPAQUE: Flags = Flags(sys::TIDE_OPAQUE);

    /// 16 bits that are the caller's own, and kept as given.
    pub const fn own(bits: u16) -> Flags {
        Flags((bits as u32) << 16)
    }

    /// Any bits. Those that are reserved are refused by writes.
    pub const fn from_bits(bits: u32) -> Flags {
        Flags(bits)
    }

    /// All of them as a number.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of the others are among these.
    pub const fn contains(self, others: Flags) -> bool {
        self.0 & others.0 == others.0
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, others: Flags) -> Flags {
        Flags(self.0 | others.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, others: Flags) {
        self.0 |= others.0;
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(Flags::READ, "r"), (Flags::WRITE, "w"), (Flags::EXEC, "x")];
        for (flag, letter) in letters {
            f.write_str(if self.contains(flag) { letter } else { "-" })?;
        }
        match self.0 & !7 {
            0 => Ok(()),
            others => write!(f, "+{others:#x}"),
        }
    }
}

/// A range of addresses, both ends included, what its first address translates to, and flags.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Mapping {
    /// The first address.
    pub start: u64,
    /// The last address.
    pub last: u64,
    /// What `start` translates to; address `a` gives `target + (a - start)`, modulo 2^64.
    pub target: u64,
    /// What may be done through it.
    pub flags: Flags,
}

impl Mapping {
    /// A mapping of these addresses.
    pub fn new(range: RangeInclusive<u64>, target: u64, flags: Flags) -> Mapping {
        let (start, last) = bounds(&range);
        Mapping { start, last, target, flags }
    }

    /// Its addresses.
    pub fn range(&self) -> RangeInclusive<u64> {
        self.start..=self.last
    }

    /// Whether it has this address.
    pub fn contains(&self, address: u64) -> bool {
        self.start <= address && address <= self.last
    }

    /// What an address of it translates to: of an opaque mapping the handle.
    pub fn translate(&self, address: u64) -> Option<u64> {
        if !self.contains(address) {
            None
        } else if self.flags.contains(Flags::OPAQUE) {
            Some(self.target)
        } else {
            Some(self.target.wrapping_add(address - self.start))
        }
    }

    /// One of no addresses: what a lookup of many says where nothing is mapped.
    pub const MISS: Mapping = Mapping { start: 1, last: 0, target: 0, flags: Flags::NONE };

    /// Whether it has no addresses.
    pub fn is_miss(&self) -> bool {
        self.start > self.last
    }

    pub(crate) fn as_ptr(&self) -> *const sys::tide_mapping {
        (self as *const Mapping).cast()
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut sys::tide_mapping {
        (self as *mut Mapping).cast()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..={:#x} -> {:#x} {:?}", self.start, self.last, self.target, self.flags)
    }
}

impl From<sys::tide_mapping> for Mapping {
    fn from(m: sys::tide_mapping) -> Mapping {
        Mapping { start: m.start, last: m.last, target: m.target, flags: Flags(m.flags) }
    }
}

/// Both ends; where nothing is in it, what C takes for empty.
pub(crate) fn bounds(range: &RangeInclusive<u64>) -> (u64, u64) {
    if range.is_empty() {
        return (1, 0); // one that was iterated to its end says so, and not by its bounds
    }
    (*range.start(), *range.end())
}

pub(crate) fn addresses(bytes: sys::tide_bytes) -> u128 {
    (u128::from(bytes.high) << 64) | u128::from(bytes.low)
}

/// What an unmap does with mappings that stick out of the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Cut them at the edges of the range.
    Split,
    /// Refuse with [`Error::Invalid`](crate::Error::Invalid) (vfio type1 v2, virtio-iommu).
    Whole,
    /// Only one mapping with exactly these bounds, or
    /// [`Error::NotFound`](crate::Error::NotFound) (vfio-user).
    Exact,
    /// Leave them alone, and remove what lies wholly inside.
    Covered,
}

impl Policy {
    pub(crate) fn code(self) -> sys::tide_unmap_policy {
        match self {
            Policy::Split => sys::TIDE_UNMAP_SPLIT,
            Policy::Whole => sys::TIDE_UNMAP_WHOLE,
            Policy::Exact => sys::TIDE_UNMAP_EXACT,
            Policy::Covered => sys::TIDE_UNMAP_COVERED,
        }
    }
}

/// What an unmap has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Unmapped {
    /// Mappings that lost at least one address.
    pub mappings: u64,
    /// Those of them that live on in one or two pieces.
    pub splits: u64,
    /// Addresses that were mapped before and are not now; up to 2^64.
    pub addresses: u128,
}

impl From<sys::tide_unmap_result> for Unmapped {
    fn from(r: sys::tide_unmap_result) -> Unmapped {
        Unmapped { mappings: r.mappings, splits: r.splits, addresses: addresses(r.bytes) }
    }
}

/// What a change would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Forecast {
    /// Mappings that would lose at least one address, or get other flags.
    pub mappings: u64,
    /// Those of them of which something would stay as it is.
    pub splits: u64,
    /// Addresses that would be unmapped; of a replace, first.
    pub addresses: u128,
    /// Mappings that there would be in all.
    pub entries: u64,
}

impl From<sys::tide_forecast> for Forecast {
    fn from(f: sys::tide_forecast) -> Forecast {
        let addresses = addresses(f.bytes);
        Forecast { mappings: f.mappings, splits: f.splits, addresses, entries: f.entries }
    }
}

/// Counts of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Statistics {
    /// Mappings.
    pub mappings: u64,
    /// Mapped addresses; up to 2^64.
    pub addresses: u128,
    /// Nodes in the tree that readers see now.
    pub nodes: u64,
    /// Levels of inner nodes above the leaves.
    pub height: u64,
    /// Nodes that are unlinked and wait for a grace period.
    pub retired_nodes: u64,
    /// Nodes that are free, kept for unmap and for reuse.
    pub reserve_nodes: u64,
    /// Snapshots that are not released, or not yet given back.
    pub snapshots: u64,
    /// Nodes that are kept for snapshots alone.
    pub held_nodes: u64,
    /// Bytes of one node.
    pub node_size: u64,
    /// Bytes held from the allocator in all.
    pub memory: u64,
    /// Nodes of indexes.
    pub index_nodes: u64,
}

impl From<sys::tide_statistics> for Statistics {
    fn from(s: sys::tide_statistics) -> Statistics {
        Statistics {
            mappings: s.mappings,
            addresses: addresses(s.bytes),
            nodes: s.nodes,
            height: s.height,
            retired_nodes: s.retired_nodes,
            reserve_nodes: s.reserve_nodes,
            snapshots: s.snapshots,
            held_nodes: s.held_nodes,
            node_size: s.node_size,
            memory: s.memory,
            index_nodes: s.index_nodes,
        }
    }
}

/// What a part of a range translates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(C)]
pub struct Segment {
    /// What `start` translates to; of an opaque mapping its handle.
    pub target: u64,
    /// The first address.
    pub start: u64,
    /// The last address.
    pub last: u64,
}

/// Mappings that could be one: neighbours of equal flags whose targets are neighbours too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What could stand for them.
    pub mapping: Mapping,
    /// How many they are.
    pub mappings: u64,
}

/// What is to be found: a range of `extent + 1` addresses that could be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoleRequest {
    /// The last address less the first; `u64::MAX` for the whole space.
    pub extent: u64,
    /// A power of two, or 0 for 1.
    pub alignment: u64,
    /// The first address is the same modulo `alignment`.
    pub congruence: u64,
    /// A power of two: the range lies in one aligned block of this size; or 0.
    pub boundary: u64,
    /// The range lies in it.
    pub window: RangeInclusive<u64>,
    /// So many addresses before the range are unmapped too.
    pub guard_below: u64,
    /// So many addresses after the range are unmapped too.
    pub guard_above: u64,
    /// The highest such range, not the lowest.
    pub highest: bool,
}

impl Default for HoleRequest {
    /// One address, anywhere, the lowest.
    fn default() -> HoleRequest {
        HoleRequest {
            extent: 0,
            alignment: 0,
            congruence: 0,
            boundary: 0,
            window: 0..=u64::MAX,
            guard_below: 0,
            guard_above: 0,
            highest: false,
        }
    }
}

impl HoleRequest {
    pub(crate) fn to_c(&self) -> sys::tide_hole_request {
        let (first, last) = bounds(&self.window);
        sys::tide_hole_request {
            extent: self.extent,
            alignment: self.alignment,
            congruence: self.congruence,
            boundary: self.boundary,
            first,
            last,
            guard_below: self.guard_below,
            guard_above: self.guard_above,
            highest: self.highest,
        }
    }
}

/// One of the operations that make one tree of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is not there any more.
    Unmap(Mapping),
    /// It is new.
    Map(Mapping),
    /// The first has become the second: the same bounds, another target or other flags.
    Change(Mapping, Mapping),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{align_of, size_of};

    #[test]
    fn structs_that_are_cast_are_laid_out_alike() {
        assert_eq!(size_of::<Mapping>(), size_of::<sys::tide_mapping>());
        assert_eq!(align_of::<Mapping>(), align_of::<sys::tide_mapping>());
        let mapping = Mapping { start: 1, last: 2, target: 3, flags: Flags::EXEC };
        // SAFETY: it is the layout that is tested, of sizes just compared.
        let c = unsafe { *mapping.as_ptr() };
        assert_eq!(Mapping::from(c), mapping);
        assert_eq!(size_of::<Segment>(), size_of::<sys::tide_segment>());
        let segment = Segment { target: 1, start: 2, last: 3 };
        // SAFETY: as above.
        let c = unsafe { *(&segment as *const Segment).cast::<sys::tide_segment>() };
        assert_eq!((c.target, c.start, c.last), (1, 2, 3));
    }

    #[test]
    fn a_range_that_was_used_up_is_empty() {
        let mut range = 5..=5u64;
        assert_eq!(bounds(&range), (5, 5));
        range.next();
        assert_eq!(bounds(&range), (1, 0));
        assert_eq!(bounds(&(0..=u64::MAX)), (0, u64::MAX));
    }

    #[test]
    fn addresses_of_the_whole_space_are_2_to_the_64() {
        assert_eq!(addresses(sys::tide_bytes { low: 0, high: 1 }), 1 << 64);
    }

    #[test]
    fn translations_follow_the_flags() {
        let plain = Mapping::new(0x1000..=0x1fff, u64::MAX, Flags::READ);
        assert_eq!(plain.translate(0x1001), Some(0));
        assert_eq!(plain.translate(0x2000), None);
        let handle = Mapping { flags: plain.flags | Flags::OPAQUE, ..plain };
        assert_eq!(handle.translate(0x1001), Some(u64::MAX));
        assert_eq!(format!("{handle:?}"), "0x1000..=0x1fff -> 0xffffffffffffffff r--+0x8");
    }
}
