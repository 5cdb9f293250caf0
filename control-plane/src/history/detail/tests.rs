use lasso_jsonrpc::method::MethodClass;

use super::*;

fn series(chain: &str, channel: &str, class: &str) -> Arc<Series> {
    Arc::new(Series {
        profile: "public".into(),
        chain: chain.into(),
        channel: format!("{chain}/{channel}/http").into(),
        provider: channel.into(),
        class: MethodClass::named(class).unwrap(),
    })
}

fn calls(count: u32) -> Cell {
    Cell {
        calls: count,
        successes: count,
        latency: u64::from(count) * 10,
        p50: 10,
        p95: 10,
        p99: 10,
        ..Cell::default()
    }
}

/// A detail of `ethereum` after one call to a in each of these minutes.
fn after(most_cells: usize, minutes: impl IntoIterator<Item = u64>) -> Detail {
    let mut detail = Detail::bounded(most_cells);
    let a = series("ethereum", "a", "eth_call");
    minutes.into_iter().for_each(|at| detail.add(&Minute { at, cells: vec![(Arc::clone(&a), calls(1))] }));
    detail
}

/// (first minute, minutes, calls) of every span.
fn shown(detail: &Detail, window: Window) -> Vec<(u64, u64, u32)> {
    let spans = detail.spans(("public", "ethereum"), window, |_| true);
    spans.iter().map(|span| (span.at, span.minutes, span.cell.calls)).collect()
}

const fn window(from: u64, to: u64, resolution: u64) -> Window {
    Window { from, to, resolution }
}

#[test]
fn minutes_are_shown_as_they_came_and_summed_up_as_coarsely_as_asked() {
    let detail = after(MOST_CELLS, [600, 601, 604, 605]);
    assert_eq!(shown(&detail, window(600, 700, 1)), [(600, 1, 1), (601, 1, 1), (604, 1, 1), (605, 1, 1)]);
    assert_eq!(shown(&detail, window(600, 700, 5)), [(600, 5, 3), (605, 5, 1)]);
    assert_eq!(shown(&detail, window(601, 604, 1)), [(601, 1, 1), (604, 1, 1)]);
    assert_eq!(shown(&detail, window(604, 601, 1)), []);
    assert_eq!(shown(&detail, window(600, 700, 0)).len(), 4);
}

#[test]
fn chains_and_series_are_kept_apart() {
    let mut detail = after(MOST_CELLS, [600]);
    let others = [
        series("ethereum", "b", "eth_call"),
        series("ethereum", "a", "eth_getLogs<=10"),
        series("base", "a", "eth_call"),
    ];
    detail.add(&Minute { at: 600, cells: others.iter().map(|series| (Arc::clone(series), calls(2))).collect() });
    assert_eq!(shown(&detail, window(0, 1_000, 60)), [(600, 60, 1), (600, 60, 2), (600, 60, 2)]);
    let of_b = detail.spans(("public", "ethereum"), window(0, 1_000, 1), |series| &*series.provider == "b");
    assert_eq!(of_b.len(), 1);
    assert_eq!(detail.spans(("public", "base"), window(0, 1_000, 1), |_| true).len(), 1);
    assert_eq!(detail.spans(("beta", "ethereum"), window(0, 1_000, 1), |_| true), []);
}

#[test]
fn a_minute_that_comes_again_is_added_to() {
    let detail = after(MOST_CELLS, [600, 601, 600]);
    assert_eq!(shown(&detail, window(0, 1_000, 1)), [(600, 1, 2), (601, 1, 1)]);
}

#[test]
fn what_is_older_than_a_day_is_forgotten_and_so_is_a_chain_without_anything() {
    let mut detail = after(MOST_CELLS, [600, 700, 600 + KEPT_MINUTES]);
    assert_eq!(shown(&detail, window(0, 10_000, 1)).len(), 2);
    let other = series("base", "a", "eth_call");
    detail.add(&Minute { at: 700 + 3 * KEPT_MINUTES, cells: vec![(other, calls(1))] });
    assert_eq!(detail.chains.len(), 1);
    assert_eq!(detail.lost(), Lost::default());
}

#[test]
fn over_the_bound_the_oldest_hour_is_merged_to_five_minutes_and_counted() {
    let detail = after(100, 600..701);
    let spans = shown(&detail, window(0, 1_000, 1));
    assert_eq!(&spans[..13], &(0..12).map(|five| (600 + five * 5, 5, 5)).chain([(660, 1, 1)]).collect::<Vec<_>>());
    assert_eq!(spans.iter().map(|(_, _, calls)| calls).sum::<u32>(), 101);
    assert_eq!(detail.lost(), Lost { hours_merged: 1, cells_dropped: 0 });
}

#[test]
fn a_late_minute_falls_into_the_five_that_it_belongs_to() {
    let mut detail = after(100, 600..701);
    detail.add(&Minute { at: 603, cells: vec![(series("ethereum", "a", "eth_call"), calls(1))] });
    assert_eq!(shown(&detail, window(0, 1_000, 1))[0], (600, 5, 6));
}

#[test]
fn when_every_hour_is_merged_the_oldest_cells_go_and_are_counted() {
    let detail = after(10, 600..701);
    let spans = shown(&detail, window(0, 1_000, 1));
    assert!(spans.len() <= 10 && spans.last().is_some_and(|(at, ..)| *at >= 695), "{spans:?}");
    let shown_calls: u32 = spans.iter().map(|(_, _, calls)| calls).sum();
    assert!(detail.lost().cells_dropped > 0 && shown_calls < 101);
}

#[test]
fn a_day_of_the_busiest_minutes_stays_under_the_bound() {
    let mut detail = Detail::bounded(1_000);
    let all: Vec<_> = ["a", "b", "c", "d"]
        .iter()
        .flat_map(|channel| ["eth_call", "eth_getBalance", "batch"].map(|class| series("ethereum", channel, class)))
        .collect();
    for at in 0..KEPT_MINUTES {
        detail.add(&Minute { at, cells: all.iter().map(|series| (Arc::clone(series), calls(1))).collect() });
        assert!(detail.chains.values().all(|slots| slots.cells <= 1_000));
        let counted: usize =
            detail.chains.values().flat_map(|slots| slots.slots.values()).map(|slot| slot.cells.len()).sum();
        assert_eq!(detail.chains.values().map(|slots| slots.cells).sum::<usize>(), counted);
    }
}
