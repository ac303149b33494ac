// SPDX-License-Identifier: BSD-2-Clause
//! Each operation, once, and what is refused.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use tidemark::{
    Difference, Epochs, Error, Flags, HoleRequest, Isa, Mapping, Options, Policy, Segment, Tree,
};

const RW: Flags = Flags::from_bits(3);

fn page(number: u64, target: u64) -> Mapping {
    Mapping::new(number << 12..=(number << 12) + 0xfff, target, RW)
}

fn tree_of_pages(numbers: &[u64]) -> Tree {
    let mut tree = Tree::new().unwrap();
    for &number in numbers {
        tree.map(&page(number, number << 20)).unwrap();
    }
    tree
}

#[test]
fn map_and_lookup() {
    let mut tree = tree_of_pages(&[1, 3]);
    assert_eq!(tree.lookup(0x1fff), Some(page(1, 1 << 20)));
    assert_eq!(tree.lookup(0x2000), None);
    assert_eq!(tree.map(&page(1, 0)), Err(Error::Exists));
    assert_eq!(tree.map(&Mapping::new(9..=9, 0, Flags::NONE)), Err(Error::Invalid));
    #[allow(clippy::reversed_empty_ranges)]
    let nothing = Mapping::new(9..=8, 0, RW);
    assert_eq!(tree.map(&nothing), Err(Error::Invalid));
    assert!(tree.is_mapped(0x1000, RW) && !tree.is_mapped(0x1000, Flags::EXEC));
    assert!(tree.is_wholly_mapped(0x1000..=0x1fff, RW));
    assert!(!tree.is_wholly_mapped(0x1000..=0x2000, RW));
    tree.check().unwrap();
}

#[test]
fn lookups_of_many_and_by_cursor() {
    let tree = tree_of_pages(&[1, 3]);
    let mut found = [Mapping::MISS; 3];
    assert_eq!(tree.lookup_many(&[0x1000, 0x2000, 0x3abc], &mut found), 2);
    assert_eq!(found[0], page(1, 1 << 20));
    assert!(found[1].is_miss());
    assert_eq!(found[2], page(3, 3 << 20));
    let mut cursor = tree.cursor();
    for address in 0..0x5000 {
        assert_eq!(cursor.lookup(address), tree.lookup(address));
    }
}

#[test]
fn the_whole_space_is_a_range() {
    let mut tree = Tree::new().unwrap();
    tree.map(&Mapping::new(0..=u64::MAX, 0, RW)).unwrap();
    assert_eq!(tree.stats().addresses, 1 << 64);
    assert_eq!(tree.clamp(0..=u64::MAX), Some(0..=u64::MAX));
    let gone = tree.unmap(0..=u64::MAX, Policy::Exact).unwrap();
    assert_eq!((gone.mappings, gone.splits, gone.addresses), (1, 0, 1 << 64));
    assert_eq!(tree.stats().mappings, 0);
}

#[test]
fn unmap_by_policy() {
    let mut tree = Tree::new().unwrap();
    let whole = Mapping::new(0x1000..=0x3fff, 0x10_0000, RW);
    tree.map(&whole).unwrap();
    let middle = 0x2000..=0x2fff;
    assert_eq!(tree.unmap(middle.clone(), Policy::Whole), Err(Error::Invalid));
    assert_eq!(tree.unmap(middle.clone(), Policy::Exact), Err(Error::NotFound));
    assert_eq!(tree.unmap(middle.clone(), Policy::Covered).unwrap().mappings, 0);
    let dry = tree.dry_unmap(middle.clone(), Policy::Split).unwrap();
    assert_eq!((dry.mappings, dry.splits, dry.addresses, dry.entries), (1, 1, 0x1000, 2));
    assert_eq!(tree.lookup(0x2000), Some(whole));
    let mut removed = Vec::new();
    let gone = tree.unmap_with(middle, Policy::Split, |piece| removed.push(piece)).unwrap();
    assert_eq!((gone.mappings, gone.splits, gone.addresses), (1, 1, 0x1000));
    assert_eq!(removed, [Mapping::new(0x2000..=0x2fff, 0x10_1000, RW)]);
    let left: Vec<_> = tree.overlaps(0..=u64::MAX).collect();
    assert_eq!(left[0], Mapping::new(0x1000..=0x1fff, 0x10_0000, RW));
    assert_eq!(left[1], Mapping::new(0x3000..=0x3fff, 0x10_2000, RW));
}

#[test]
fn replace_and_protect() {
    let mut tree = tree_of_pages(&[1, 2]);
    let new = Mapping::new(0x1800..=0x27ff, 7, Flags::READ);
    assert_eq!(tree.dry_replace(&new).unwrap().mappings, 2);
    let mut displaced = Vec::new();
    tree.replace_with(&new, |piece| displaced.push(piece.range())).unwrap();
    assert_eq!(displaced, [0x1800..=0x1fff, 0x2000..=0x27ff]);
    assert_eq!(tree.lookup(0x2000), Some(new));
    assert_eq!(tree.dry_protect(0x1000..=0x1fff, Flags::EXEC).unwrap().mappings, 2);
    tree.protect(0x1000..=0x1fff, Flags::EXEC).unwrap();
    assert_eq!(tree.lookup(0x1000).unwrap().flags, Flags::EXEC);
    assert_eq!(tree.lookup(0x2000).unwrap().flags, Flags::READ);
}

#[test]
fn limits_are_kept() {
    let mut tree =
        Options::new().aperture(0x1000..=0x4fff).granule(0x1000).max_mappings(2).build().unwrap();
    assert_eq!(tree.map(&page(0, 0)), Err(Error::OutsideAperture));
    assert_eq!(tree.map(&Mapping::new(0x1000..=0x17ff, 0, RW)), Err(Error::Invalid));
    tree.map(&page(1, 0)).unwrap();
    tree.map(&page(2, 0)).unwrap();
    assert_eq!(tree.dry_map(&page(3, 0)), Err(Error::NoSpace));
    assert_eq!(tree.map(&page(3, 0)), Err(Error::NoSpace));
    assert_eq!(Options::new().granule(3).build().unwrap_err(), Error::Invalid);
    assert_eq!(Options::new().isa(Isa::Plain).build().unwrap().isa(), Isa::Plain);
}

#[test]
fn walks_go_both_ways_and_only_where_asked() {
    let tree = tree_of_pages(&[1, 2, 5, 9]);
    let starts = |mappings: &mut dyn Iterator<Item = Mapping>| -> Vec<u64> {
        mappings.map(|mapping| mapping.start >> 12).collect()
    };
    assert_eq!(starts(&mut tree.overlaps(0x2800..=0x9000)), [2, 5, 9]);
    assert_eq!(starts(&mut tree.overlaps_down(0..=0x5000)), [5, 2, 1]);
    let mut walk = tree.overlaps(0x2800..=0x9000);
    walk.next();
    assert_eq!(starts(&mut walk.clone()), [5, 9]);
    assert_eq!(tree.first_overlap(0x3000..=u64::MAX).unwrap().start, 0x5000);
    assert_eq!(tree.last_overlap(0..=0x8fff).unwrap().start, 0x5000);
    assert_eq!(tree.next(0x3000).unwrap().start, 0x5000);
    assert_eq!(tree.prev(0x4fff).unwrap().start, 0x2000);
}

#[test]
fn watermarks_and_what_was_ever_mapped() {
    let mut tree = tree_of_pages(&[2, 5]);
    assert_eq!((tree.low_watermark(), tree.high_watermark()), (Some(0x2000), Some(0x5fff)));
    assert_eq!(
        (tree.highest_mapped(0x4000), tree.lowest_mapped(0x4000)),
        (Some(0x2fff), Some(0x5000))
    );
    assert_eq!(tree.clamp(0..=0x5008), Some(0x2000..=0x5008));
    tree.unmap(0x5000..=u64::MAX, Policy::Split).unwrap();
    assert_eq!(tree.high_watermark(), Some(0x2fff));
    assert_eq!(tree.ever_mapped(), Some(0x2000..=0x5fff));
    tree.reset_ever_mapped();
    assert_eq!(tree.ever_mapped(), Some(0x2000..=0x2fff));
}

#[test]
fn translation_says_where_it_stopped() {
    let mut tree = Tree::new().unwrap();
    tree.map(&page(1, 0x10_0000)).unwrap();
    tree.map(&page(2, 0x10_1000)).unwrap();
    tree.map(&page(3, 0x50_0000)).unwrap();
    let mut room = [Segment::default(); 3];
    let merged = tree.translate(0x1000..=0x3fff, RW, true, &mut room).unwrap();
    assert_eq!(merged.len(), 2);
    assert_eq!(merged[0], Segment { target: 0x10_0000, start: 0x1000, last: 0x2fff });
    assert_eq!(tree.translate(0x1000..=0x3fff, RW, false, &mut room).unwrap().len(), 3);
    let refused = tree.translate(0x1000..=0x3fff, RW, false, &mut room[..1]).unwrap_err();
    assert_eq!((refused.error, refused.written, refused.needed), (Error::TooManySegments, 1, 3));
    assert_eq!(refused.next, 0x2000);
    assert_eq!(refused.to_string(), "3 segments, more segments than room for them");
    let refused = tree.translate(0x3000..=0x4fff, RW, true, &mut room).unwrap_err();
    assert_eq!((refused.error, refused.bad, refused.written), (Error::NotFound, 0x4000, 1));
    let refused = tree.translate(0x3000..=0x3fff, Flags::EXEC, true, &mut room).unwrap_err();
    assert_eq!((refused.error, refused.bad), (Error::Access, 0x3000));
    let runs: Vec<_> = tree.runs(0..=u64::MAX).collect();
    assert_eq!((runs.len(), tree.count_runs(0..=u64::MAX)), (2, 2));
    assert_eq!((runs[0].mapping.range(), runs[0].mappings), (0x1000..=0x2fff, 2));
}

#[test]
fn holes_and_room() {
    let mut tree = tree_of_pages(&[0, 2]);
    let holes: Vec<_> = tree.holes(0..=0x4fff).collect();
    assert_eq!(holes, [0x1000..=0x1fff, 0x3000..=0x4fff]);
    let request = HoleRequest { extent: 0xfff, alignment: 0x1000, ..Default::default() };
    assert_eq!(tree.find_hole(&request), Ok(0x1000..=0x1fff));
    let highest = HoleRequest { highest: true, ..request.clone() };
    assert_eq!(tree.find_hole(&highest), Ok(u64::MAX - 0xfff..=u64::MAX));
    assert_eq!(tree.map_anywhere(&request, 5, RW).unwrap().range(), 0x1000..=0x1fff);
    let below = HoleRequest { window: 0..=0x2fff, ..request };
    assert_eq!(tree.map_anywhere(&below, 5, RW), Err(Error::NoSpace));
}

#[test]
fn sources_need_an_index() {
    let tree = tree_of_pages(&[1]);
    assert_eq!(tree.sources(0..=9).err(), Some(Error::NotSupported));
    let mut tree = Options::new().index_targets().index_holes().build().unwrap();
    tree.map(&page(1, 0x5000)).unwrap();
    tree.map(&page(7, 0x5000)).unwrap();
    let starts: Vec<_> = tree.sources(0x5800..=0x5800).unwrap().map(|m| m.start).collect();
    assert_eq!(starts, [0x1000, 0x7000]);
    assert_eq!(tree.find_source(0x5801), Some(0x1801));
}

#[test]
fn transactions_commit_or_leave_no_trace() {
    let mut tree = tree_of_pages(&[1]);
    let reader = tree.reader();
    {
        let mut txn = tree.begin().unwrap();
        txn.unmap(0..=u64::MAX, Policy::Split).unwrap();
        txn.map(&page(2, 0)).unwrap();
        assert!(txn.lookup(0x1000).is_none() && txn.lookup(0x2000).is_some());
        assert!(reader.lookup(0x1000).is_some() && reader.lookup(0x2000).is_none());
        assert_eq!(txn.map(&page(2, 0)), Err(Error::Exists));
        assert_eq!(txn.stats().mappings, 1);
    }
    assert!(tree.lookup(0x1000).is_some());
    let mut txn = tree.begin().unwrap();
    let mut gone = Vec::new();
    txn.unmap_with(0..=u64::MAX, Policy::Split, |piece| gone.push(piece)).unwrap();
    txn.replace(&page(2, 9)).unwrap();
    txn.protect(0x2000..=0x2fff, Flags::READ).unwrap();
    let request = HoleRequest { extent: 0xfff, ..Default::default() };
    assert_eq!(txn.map_anywhere(&request, 0, RW).unwrap().start, 0);
    txn.commit();
    assert_eq!(gone, [page(1, 1 << 20)]);
    assert_eq!(reader.lookup(0x2000).unwrap().flags, Flags::READ);
    assert!(reader.lookup(0x1000).is_none() && reader.lookup(0).is_some());
    tree.check().unwrap();
}

#[test]
fn a_leaked_transaction_leaves_the_tree_readable() {
    let mut tree = tree_of_pages(&[1]);
    std::mem::forget(tree.begin().unwrap());
    assert_eq!(tree.map(&page(2, 0)), Err(Error::Busy));
    assert_eq!(tree.snapshot().err(), Some(Error::Busy));
    assert!(tree.lookup(0x1000).is_some());
}

#[test]
fn snapshots_outlive_the_tree_and_go_anywhere() {
    let mut tree = tree_of_pages(&[1, 2]);
    let old = tree.snapshot().unwrap();
    tree.unmap(0x1000..=0x1fff, Policy::Exact).unwrap();
    tree.replace(&page(2, 5)).unwrap();
    tree.map(&page(3, 6)).unwrap();
    let new = tree.snapshot().unwrap();
    assert_eq!(tree.stats().snapshots, 2);
    drop(tree);
    std::thread::spawn(move || {
        assert_eq!(old.overlaps(0..=u64::MAX).count(), 2);
        let differences = old.diff(&new, 0..=u64::MAX);
        let expected = [
            Difference::Unmap(page(1, 1 << 20)),
            Difference::Change(page(2, 2 << 20), page(2, 5)),
            Difference::Map(page(3, 6)),
        ];
        assert_eq!(differences.collect::<Vec<_>>(), expected);
        assert_eq!(old.diff(&new, 0x1800..=0x1900).window(), 0x1000..=0x1fff);
        old.check().unwrap();
    })
    .join()
    .unwrap();
}

#[test]
fn writes_inside_a_section_of_the_tree_are_refused() {
    let mut tree = tree_of_pages(&[1]);
    let mut other = tree_of_pages(&[]);
    let reader = tree.reader();
    let guard = reader.enter();
    let inner = reader.enter();
    assert_eq!(tree.map(&page(2, 0)), Err(Error::InSection));
    drop(guard);
    assert_eq!(tree.unmap(0..=u64::MAX, Policy::Split), Err(Error::InSection));
    assert_eq!(tree.synchronize(), Err(Error::InSection));
    assert_eq!(tree.barrier(), Err(Error::InSection));
    assert_eq!(tree.begin().err(), Some(Error::InSection));
    assert_eq!(tree.snapshot().err(), Some(Error::InSection));
    other.map(&page(1, 0)).unwrap(); // of another tree
    drop(inner);
    tree.map(&page(2, 0)).unwrap();
    tree.barrier().unwrap();
}

#[test]
fn commit_inside_a_section_panics_and_the_drop_too() {
    for commit in [true, false] {
        let mut tree = tree_of_pages(&[1]);
        let reader = tree.reader();
        let txn = tree.begin().unwrap();
        let guard = reader.enter();
        let end = std::panic::AssertUnwindSafe(|| if commit { txn.commit() } else { drop(txn) });
        assert!(std::panic::catch_unwind(end).is_err());
        drop(guard);
        assert_eq!(tree.map(&page(2, 0)), Err(Error::Busy));
    }
}

#[test]
fn a_panic_in_a_callback_comes_after_the_write() {
    let mut tree = tree_of_pages(&[1, 2, 3]);
    let told = RefCell::new(0);
    let write = std::panic::AssertUnwindSafe(|| {
        tree.unmap_with(0..=u64::MAX, Policy::Split, |_| {
            *told.borrow_mut() += 1;
            panic!("told");
        })
    });
    assert!(std::panic::catch_unwind(write).is_err());
    assert_eq!(told.into_inner(), 1);
    assert_eq!(tree.stats().mappings, 0);
    tree.map(&page(1, 0)).unwrap();
    tree.check().unwrap();
}

#[test]
fn what_is_told_of_removed_pieces_may_ask_by_a_reader() {
    let mut tree = tree_of_pages(&[1, 2]);
    let reader = tree.reader();
    let mut still_there = Vec::new();
    tree.unmap_with(0..=0x1fff, Policy::Split, |piece| {
        let guard = reader.enter();
        still_there.push((guard.lookup(piece.start).is_some(), guard.lookup(0x2000).is_some()));
    })
    .unwrap();
    assert_eq!(still_there, [(false, true)]);
}

#[test]
fn the_last_reader_may_be_dropped_in_a_section_of_another_tree() {
    let epochs = Arc::new(Epochs::new());
    let one = Options::new().build_with(epochs.clone()).unwrap();
    let other = Options::new().build_with(epochs.clone()).unwrap();
    let reader = one.reader();
    let guard = reader.enter();
    drop(other); // must not wait for the guard
    drop(guard);
    while Arc::strong_count(&epochs) > 2 {
        std::thread::yield_now(); // a thread is at it
    }
}

#[test]
fn a_tree_may_live_in_a_mutex_and_its_readers_beside_it() {
    fn shareable<T: Send + Sync>(_: &T) {}
    let tree = Arc::new(Mutex::new(tree_of_pages(&[])));
    let reader = tree.lock().unwrap().reader();
    shareable(&tree);
    shareable(&reader);
    shareable(&tree.lock().unwrap().snapshot().unwrap());
    let writer = {
        let tree = tree.clone();
        std::thread::spawn(move || tree.lock().unwrap().map(&page(1, 0)))
    };
    writer.join().unwrap().unwrap();
    assert!(reader.lookup(0x1000).is_some());
    assert_eq!(format!("{reader:?}"), "Reader([0x1000..=0x1fff -> 0x0 rw-])");
}

#[test]
fn reserved_memory_and_statistics() {
    let mut tree = tree_of_pages(&[]);
    tree.reserve(10).unwrap();
    let reserved = tree.stats().reserve_nodes;
    assert!(reserved >= 10);
    tree.reserve(0).unwrap();
    for number in 0..1000 {
        tree.map(&page(number * 2, number)).unwrap();
    }
    let stats = tree.stats();
    assert_eq!((stats.mappings, stats.addresses), (1000, 1000 << 12));
    assert!(stats.height >= 1 && stats.memory > stats.nodes * stats.node_size);
}
