//! What workers are told, and when.

use super::*;

const SILENT: Saw = bad(Category::Network, 3);

#[test]
fn a_worker_that_joins_is_told_everything_that_is_known() {
    let mut world = World::of(&["p0", "p1"]);
    let first = world.join(1, "a");
    world.says(first, &[("p0", SILENT), ("p1", good(9))]);
    world.shows(first, "p1", 100);
    world.later(200);
    let second = world.join(2, "b");
    let tables = world.tables(second);
    let [table] = &tables[..] else { panic!("{tables:?}") };
    assert!((table.full, table.version, table.covers) == (true, 1, 0));
    assert_eq!(table.cells.len(), 2);
    assert_eq!(table.channels.iter().map(|view| view.channel.clone()).collect::<Vec<_>>(), [channel("p0")]);
    assert_eq!(table.heads.len(), 1);
}

#[test]
fn afterwards_it_is_told_what_changed_each_once() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", good(9)), ("p1", good(9))]);
    world.later(100);
    world.tables(worker);
    world.says(worker, &[("p0", slow(20, 300))]);
    world.later(100);
    let tables = world.tables(worker);
    let [table] = &tables[..] else { panic!("{tables:?}") };
    assert!(!table.full && table.covers == 2);
    assert_eq!(table.cells.iter().map(|cell| cell.channel.clone()).collect::<Vec<_>>(), [channel("p0")]);
    assert!(table.cells[0].summary.mean > 290_000.0);
    world.later(200);
    assert_eq!(world.tables(worker), []);
}

#[test]
fn a_table_includes_all_reports_up_to_the_one_that_it_covers() {
    let mut world = World::of(&["p0"]);
    let worker = world.join(1, "a");
    for seq in 1..=5 {
        world.says(worker, &[("p0", good(1))]);
        world.later(300);
        let table = world.tables(worker).pop().unwrap();
        assert_eq!(table.covers, seq);
        let successes = table.cells.first().map(|cell| cell.summary.successes);
        assert!(successes.is_none_or(|successes| successes > seq as f32 - 0.5), "{successes:?} after {seq}");
    }
}

#[test]
fn a_breaker_is_told_at_once_and_evidence_with_the_tick() {
    let mut world = World::of(&["p0", "p1"]);
    let (one, other) = (world.join(1, "a"), world.join(2, "b"));
    world.later(50);
    world.tables(other);
    world.says(one, &[("p1", good(9))]);
    assert_eq!(world.tables(other), []);
    world.says(one, &[("p0", SILENT)]);
    let table = world.tables(other).pop().unwrap();
    assert!(matches!(table.channels[0].breaker, BreakerView::Open { left: Some(left) } if left.0 >= 1_000));
    assert_eq!(table.cells, []);
    world.later(100);
    assert_eq!(world.tables(other).pop().unwrap().cells.len(), 2);
}

#[test]
fn a_silent_fleet_still_hears_that_we_are_here() {
    let mut world = World::of(&["p0"]);
    let worker = world.join(1, "a");
    world.tables(worker);
    world.later(10_000);
    let tables = world.tables(worker);
    assert!((9..=10).contains(&tables.len()), "{}", tables.len());
    assert!(tables.iter().all(|table| !table.full && table.cells.is_empty()));
}

#[test]
fn who_takes_no_tables_has_two_on_their_way_and_catches_up() {
    let mut world = World::of(&["p0", "p1"]);
    let (deaf, other) = (world.join(1, "a"), world.join(2, "b"));
    world.tables(deaf);
    world.deaf.push(deaf);
    for round in 0..50 {
        world.says(other, &[("p0", slow(20, 20 + 100 * (round % 2)))]);
        world.later(200);
    }
    world.says(other, &[("p1", SILENT)]);
    assert_eq!(world.tables(deaf).len(), 2);
    world.deaf.clear();
    world.event(Event::TableTaken(deaf, 3));
    let table = world.tables(deaf).remove(0);
    assert_eq!((table.version, table.full), (4, false));
    assert_eq!((table.cells.len(), table.channels.len()), (1, 1), "p1's evidence waits for the tick");
}

#[test]
fn a_share_is_that_of_one_among_those_that_ask() {
    let mut world = World::of(&["p0"]);
    let workers: Vec<_> = (0..4).map(|id| world.join(id, "a")).collect();
    let share = |world: &mut World, worker| world.tables(worker).pop().unwrap().share;
    assert_eq!(share(&mut world, workers[0]), 0.0);
    workers[..2].iter().for_each(|&worker| world.says(worker, &[("p0", good(1))]));
    world.later(500);
    assert_eq!((share(&mut world, workers[0]), share(&mut world, workers[3])), (0.5, 0.0));
    world.later(9_000);
    world.says(workers[1], &[("p0", good(1))]);
    world.later(3_000);
    assert_eq!(
        (share(&mut world, workers[0]), share(&mut world, workers[1])),
        (0.5, 1.0),
        "one that paused may come back"
    );
}

#[test]
fn a_new_catalog_is_followed_by_full_tables() {
    let mut world = World::of(&["p0", "p1"]);
    let worker = world.join(1, "a");
    world.says(worker, &[("p0", good(9)), ("p1", good(9))]);
    world.later(100);
    world.tables(worker);
    let catalog = Catalog::try_from(spec(&["p1"])).unwrap();
    world.fleet.adopt(&catalog, world.now);
    world.later(100);
    let table = world.tables(worker).remove(0);
    assert!(table.full && table.version > 1);
    assert_eq!(table.cells.iter().map(|cell| cell.channel.clone()).collect::<Vec<_>>(), [channel("p1")]);
}

/// A chain of each name, each with these providers; channels are not shared.
fn wide(chains: usize, providers: usize) -> CatalogSpec {
    let mut wide = spec(&[]);
    let names: Vec<String> = (0..providers).map(|n| format!("p{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (wide.channels, wide.profiles[0].chains) = (Vec::new(), Vec::new());
    for chain in 0..chains {
        let id = format!("chain{chain}");
        let http = crate::catalog::spec::TransportSpec::Http;
        wide.channels.extend(names.iter().map(|name| fixture::channel_spec(&id, name, http)));
        wide.profiles[0].chains.push(fixture::chain_spec(&id, chain as u64 + 1, &names));
    }
    wide
}

#[test]
fn a_table_is_bounded_and_the_rest_comes_with_the_next() {
    let mut world = World::from(wide(30, 20));
    let worker = world.join(1, "a");
    let methods = ["eth_call", "eth_chainId", "eth_getLogs", "eth_gasPrice", "eth_getBalance"];
    for chain in 0..30 {
        let tally = |(provider, method): (usize, &str)| Tally {
            profile: "public".into(),
            chain: format!("chain{chain}").into(),
            channel: format!("chain{chain}/p{provider}/http").into(),
            class: class(method),
            sums: good(3).sums(),
        };
        let tallies = (0..20).flat_map(|provider| methods.map(|method| tally((provider, method)))).collect();
        world.report(worker, Report { tallies, ..Report::default() });
    }
    world.later(100);
    let tables = world.tables(worker);
    assert!(tables.iter().all(|table| table.cells.len() <= 2_048));
    world.later(200);
    let late = world.join(2, "b");
    world.later(300);
    let tables = world.tables(late);
    assert!(tables[0].full && tables[1..].iter().all(|table| !table.full));
    let cells: usize = tables.iter().map(|table| table.cells.len()).sum();
    assert_eq!(cells, 3_000);
}
