//! From one generation to the next, step by step.

use super::*;

/// Everything an Envoy hears that acks at once, from the first generation through the others, which come as soon as the one before has
/// settled.
#[track_caller]
fn check(generations: &[&[&str]], expected: &[&str]) {
    let mut envoy = Envoy::settled(&snapshot(generations[0]));
    let mut heard = Vec::new();
    for generation in &generations[1..] {
        let at_once = envoy.newer(&snapshot(generation));
        heard.extend(at_once.into_iter().map(|text| format!("0 {text}")));
        heard.extend(envoy.acks_for(300_000));
        assert_eq!(envoy.session.progress().phase, Phase::Settled);
    }
    assert_eq!(heard, expected);
}

#[test]
fn what_comes_is_a_cluster_then_in_the_routes_then_in_the_catalog() {
    check(&[&["a"], &["a", "b"]], &["0 cds +b", "200 rds a b", "400 ecds a b"]);
}

#[test]
fn what_goes_leaves_the_catalog_then_after_the_longest_deadline_the_routes_then_the_clusters() {
    check(&[&["a", "b"], &["a"]], &["0 ecds a", "46000 rds a", "46200 cds -b"]);
    check(&[&["a", "b", "!"], &["a", "!"]], &["0 ecds a", "121000 rds a", "121200 cds -b"]);
}

#[test]
fn the_deadline_that_counts_is_of_the_catalog_that_went() {
    check(&[&["a", "b", "!"], &["a"]], &["0 rds a b", "200 ecds a", "121200 rds a", "121400 cds -b"]);
    check(&[&["a", "b"], &["a", "!"]], &["0 rds a b", "200 ecds a", "46200 rds a", "46400 cds -b"]);
}

#[test]
fn one_comes_and_one_goes() {
    check(&[&["a", "b"], &["a", "c"]], &["0 cds +c", "200 rds a b c", "400 ecds a c", "46400 rds a c", "46600 cds -b"]);
}

#[test]
fn a_new_key_is_a_new_catalog_and_nothing_else() {
    check(&[&["a", "b"], &["a?", "b"]], &["0 ecds a b"]);
}

#[test]
fn nothing_new_is_nothing_to_say() {
    check(&[&["a", "b"], &["a", "b"]], &[]);
}

#[test]
fn a_name_that_leads_elsewhere_in_this_envoy_is_left_alone_until_ours_is_called_otherwise() {
    let before = snapshot(&["a", "b"]);
    let mut envoy = Envoy::settled(&before);
    envoy.session.handle_event(Event::Newer(snapshot(&["a=d", "b", "c"])), envoy.now);
    let taken = envoy.session.poll_action();
    assert!(
        matches!(&taken, Some(Action::Taken(names)) if names.len() == 1 && names[0].0 == cluster("a")),
        "{taken:?}"
    );
    assert_eq!(envoy.hears(), ["cds +c"]);
    assert_eq!(envoy.acks_for(60_000), [""; 0], "neither the cluster nor a catalog with its paths");
    assert_eq!(envoy.newer(&snapshot(&["e=d", "b", "c"])), ["cds +e"]);
    let heard = envoy.acks_for(60_000);
    assert_eq!(heard, ["200 rds a b c e", "400 ecds b c e", "46400 rds b c e", "46600 cds -a"]);
}

#[test]
fn a_restarted_control_plane_moves_nothing_in_place_either() {
    let mut envoy = Envoy::settled(&snapshot(&["a"]));
    let after = snapshot(&["a=b"]);
    envoy.session = Session::new(Arc::clone(&after), Millis::ZERO);
    let initial_versions = envoy.has[&CLUSTERS].clone();
    let back = Request { initial_versions, ..subscribe(&["*"]) };
    envoy.session.handle_event(Event::Request(CLUSTERS, back), envoy.now);
    let taken = envoy.session.poll_action();
    assert!(matches!(&taken, Some(Action::Taken(_))), "{taken:?}");
}

#[test]
fn the_other_kind_of_filter_comes_beside_the_one_that_drains_and_clusters_wait_for_that() {
    let mut envoy = Envoy::settled(&snapshot(&["a", "b"]));
    let mut heard = envoy.reconnects(&snapshot_for(&["a"], &site_with("module.so")));
    heard.extend(envoy.acks_for(1_000));
    assert_eq!(heard, ["cds", "200 rds", "200 ecds"]);
    assert!(envoy.has[&ROUTES].contains_key(NAME) && envoy.has[&FILTERS].contains_key(DOWN), "something is taken away");
    // The new listener asks for its own.
    assert_eq!(envoy.says(FILTERS, subscribe(&["lasso.module.down", "lasso.module.up"])), ["ecds a"]);
    assert_eq!(envoy.says(ROUTES, subscribe(&["lasso.module"])), ["rds a b"]);
    assert_eq!(envoy.acks_for(600_000), [""; 0], "the old one may still have requests to b");
    let gone = |names: &[&str]| {
        let unsubscribe = names.iter().map(|name| (*name).to_owned()).collect();
        Request { unsubscribe, ..Request::default() }
    };
    assert_eq!(envoy.says(ROUTES, gone(&[NAME])), [""; 0]);
    assert_eq!(envoy.says(FILTERS, gone(&[DOWN, UP])), [""; 0]);
    assert_eq!(envoy.acks_for(60_000), ["46000 rds a", "46200 cds -b"]);
}

/// A newer generation after so many milliseconds of a rollout from `a b` to `a c`.
#[track_caller]
fn check_newer(after: u64, generation: &[&str], expected: &[&str]) {
    let mut envoy = Envoy::settled(&snapshot(&["a", "b"]));
    envoy.newer(&snapshot(&["a", "c"]));
    envoy.acks_for(after);
    let mut heard: Vec<_> = envoy.newer(&snapshot(generation)).into_iter().map(|text| format!("0 {text}")).collect();
    heard.extend(envoy.acks_for(300_000));
    assert_eq!(heard, expected, "after {after} ms");
    assert_eq!(envoy.session.progress().phase, Phase::Settled);
}

#[test]
fn a_newer_generation_in_the_middle_goes_on_from_what_envoy_has() {
    // Back to the first. No catalog named `c`; it is treated as if one had.
    check_newer(100, &["a", "b"], &["100 rds a b c", "46000 rds a b", "46200 cds -c"]);
    // The routes know all three; the catalog was not sent yet.
    check_newer(
        300,
        &["a", "b", "d"],
        &["0 cds +d", "200 rds a b c d", "400 ecds a b d", "46400 rds a b d", "46600 cds -c"],
    );
    // The catalog is in force: `b` is still there, `c` now needs its time.
    check_newer(10_400, &["a", "b"], &["0 ecds a b", "46000 rds a b", "46200 cds -c"]);
    // `b` drains since the first change, `c` from now on.
    check_newer(10_400, &["a"], &["0 ecds a", "36000 rds a c", "36200 cds -b", "46000 rds a", "46200 cds -c"]);
    // `b` is out of the routes and not yet gone: it comes back into them before the catalog names it.
    check_newer(46_400, &["a", "b"], &["0 rds a b c", "200 ecds a b", "46200 rds a b", "46400 cds -c"]);
}

#[test]
fn what_is_wanted_again_while_it_is_being_removed_is_sent_again() {
    let mut envoy = Envoy::settled(&snapshot(&["a", "b"]));
    envoy.newer(&snapshot(&["a"]));
    envoy.acks(FILTERS);
    assert_eq!(envoy.waits(46_000), ["rds a"]);
    envoy.acks(ROUTES);
    assert_eq!(envoy.waits(200), ["cds -b"]);
    assert_eq!(envoy.newer(&snapshot(&["a", "b"])), [""; 0], "the removal is not answered");
    assert_eq!(envoy.acks(CLUSTERS), ["cds +b"]);
    assert_eq!(envoy.acks_for(300_000), ["200 rds a b", "400 ecds a b"]);
}

#[test]
fn a_catalog_that_was_sent_and_not_acked_counts_as_in_force() {
    let mut envoy = Envoy::settled(&snapshot(&["a"]));
    envoy.newer(&snapshot(&["a", "b"]));
    envoy.acks_for(399);
    assert_eq!(envoy.waits(1), ["ecds a b"]);
    assert_eq!(envoy.newer(&snapshot(&["a"])), [""; 0]);
    assert_eq!(envoy.waits(600_000), [""; 0], "`b` stays while nobody knows which catalog is in force");
    assert_eq!(envoy.acks(FILTERS), ["ecds a"]);
    assert_eq!(envoy.acks_for(300_000), ["46000 rds a", "46200 cds -b"]);
}

/// A reconnect after so many milliseconds of a rollout from `a b` to `a c`.
#[track_caller]
fn check_reconnect(after: u64, expected: &[&str]) {
    let (before, next) = (snapshot(&["a", "b"]), snapshot(&["a", "c"]));
    let mut envoy = Envoy::settled(&before);
    envoy.newer(&next);
    envoy.acks_for(after);
    let mut heard: Vec<_> = envoy.reconnects(&next).into_iter().map(|text| format!("0 {text}")).collect();
    heard.extend(envoy.acks_for(300_000));
    assert_eq!(heard, expected, "after {after} ms");
}

#[test]
fn a_reconnect_in_the_middle_goes_on_from_what_envoy_has() {
    check_reconnect(0, &["0 cds", "200 rds a b c", "400 ecds a c", "46400 rds a c", "46600 cds -b"]);
    check_reconnect(200, &["0 cds", "200 rds", "200 ecds a c", "46200 rds a c", "46400 cds -b"]);
    // The catalog is in force, since when is not known any more.
    check_reconnect(20_000, &["0 cds", "200 rds", "200 ecds", "46000 rds a c", "46200 cds -b"]);
}

#[test]
fn the_deadline_of_a_catalog_from_before_this_stream_counts() {
    let (before, next) = (snapshot(&["a", "b", "!"]), snapshot(&["a"]));
    // The control plane was restarted with another file: Envoy says what it has.
    let mut envoy = Envoy::settled(&before);
    assert_eq!(envoy.reconnects(&next), ["cds"]);
    assert_eq!(envoy.acks_for(300_000), ["200 rds a b", "400 ecds a", "121400 rds a", "121600 cds -b"]);
    // Envoy has the new one already, and this process knew the one before.
    let mut envoy = Envoy::settled(&before);
    envoy.newer(&next);
    envoy.acks_for(1_000);
    envoy.session = Session::new(Arc::clone(&next), before.deadline);
    envoy.asks(&[CLUSTERS, ROUTES, FILTERS]);
    assert_eq!(envoy.acks_for(300_000), ["200 rds", "200 ecds", "121000 rds a", "121200 cds -b"]);
}

#[test]
fn slow_acks_slow_everything_and_skip_nothing() {
    let mut envoy = Envoy::settled(&snapshot(&["a", "b"]));
    assert_eq!(envoy.newer(&snapshot(&["a", "c"])), ["cds +c"]);
    assert_eq!(envoy.waits(30_000), [""; 0]);
    envoy.acks(CLUSTERS);
    assert_eq!(envoy.waits(200), ["rds a b c"]);
    assert_eq!(envoy.waits(30_000), [""; 0]);
    envoy.acks(ROUTES);
    assert_eq!(envoy.waits(199), [""; 0]);
    assert_eq!(envoy.waits(1), ["ecds a c"]);
    assert_eq!(envoy.waits(100_000), [""; 0], "`b` may be in use until the ack");
    envoy.acks(FILTERS);
    assert_eq!(envoy.waits(45_999), [""; 0]);
    assert_eq!(envoy.waits(1), ["rds a c"]);
    assert_eq!(envoy.waits(30_000), [""; 0]);
    envoy.acks(ROUTES);
    assert_eq!(envoy.waits(200), ["cds -b"]);
}

#[test]
fn one_bad_cluster_holds_back_only_what_names_it() {
    let mut envoy = Envoy::settled(&snapshot(&["a"]));
    assert_eq!(envoy.newer(&snapshot(&["a", "b", "c"])), ["cds +b +c"]);
    assert_eq!(envoy.nacks(CLUSTERS), ["cds +b"], "one of them is bad: one at a time");
    assert_eq!(envoy.nacks(CLUSTERS), ["cds +c"]);
    assert_eq!(envoy.acks_for(60_000), ["200 rds a b c", "400 ecds a c"]);
    let progress = envoy.session.progress();
    assert_eq!((progress.phase, progress.held), (Phase::Settled, true));
    assert_eq!(progress.without.into_iter().collect::<Vec<_>>(), [cluster("b")]);
    assert_eq!(envoy.newer(&snapshot(&["a", "c", "d"])), ["cds +d"]);
    assert_eq!(envoy.acks_for(60_000), ["200 rds a c d", "400 ecds a c d"]);
    assert!(!envoy.session.progress().held);
}

#[test]
fn a_chain_of_which_nobody_is_left_keeps_the_catalog_from_before() {
    let mut envoy = Envoy::settled(&snapshot(&["a"]));
    assert_eq!(envoy.newer(&snapshot(&["b"])), ["cds +b"]);
    envoy.nacks(CLUSTERS);
    assert_eq!(envoy.acks_for(600_000), ["200 rds a b"], "`a` goes on serving");
    let progress = envoy.session.progress();
    assert_eq!((progress.phase, progress.held), (Phase::Catalog, true));
    assert_eq!(envoy.newer(&snapshot(&["a"])), ["rds a"]);
}

#[test]
fn refused_routes_hold_back_the_catalog_and_a_refused_catalog_the_removal() {
    let mut envoy = Envoy::settled(&snapshot(&["a", "b"]));
    envoy.newer(&snapshot(&["a", "c"]));
    envoy.acks_for(199);
    assert_eq!(envoy.waits(1), ["rds a b c"]);
    envoy.nacks(ROUTES);
    assert_eq!(envoy.acks_for(600_000), [""; 0]);
    assert_eq!((envoy.session.progress().phase, envoy.session.progress().held), (Phase::Routes, true));

    let mut envoy = Envoy::settled(&snapshot(&["a", "b"]));
    envoy.newer(&snapshot(&["a", "c"]));
    envoy.acks_for(399);
    assert_eq!(envoy.waits(1), ["ecds a c"]);
    envoy.nacks(FILTERS);
    assert_eq!(envoy.acks_for(600_000), [""; 0], "not sent again, and `b` stays");
    assert_eq!((envoy.session.progress().phase, envoy.session.progress().held), (Phase::Catalog, true));
    assert_eq!(envoy.newer(&snapshot(&["a", "b"])), [""; 0], "the last good one is what it has");
    assert_eq!(envoy.acks_for(600_000), ["46000 rds a b", "46200 cds -c"]);
}

#[test]
fn a_cluster_that_envoy_does_not_let_go_is_not_asked_for_again() {
    let mut envoy = Envoy::settled(&snapshot(&["a", "b"]));
    envoy.newer(&snapshot(&["a"]));
    envoy.acks(FILTERS);
    envoy.waits(46_000);
    envoy.acks(ROUTES);
    assert_eq!(envoy.waits(200), ["cds -b"]);
    envoy.nacks(CLUSTERS);
    assert_eq!(envoy.acks_for(600_000), [""; 0]);
}

#[test]
fn clusters_go_after_the_longest_deadline_where_routes_and_filters_are_from_elsewhere() {
    let mut envoy = Envoy::new(&snapshot(&["a", "b"]));
    envoy.asks(&[CLUSTERS]);
    envoy.acks_for(60_000);
    envoy.newer(&snapshot(&["a"]));
    assert_eq!(envoy.acks_for(300_000), ["46000 cds -b"]);
}

#[test]
fn the_generation_in_force_is_the_one_that_was_acked() {
    let (before, next) = (snapshot(&["a"]), snapshot(&["a", "b"]));
    let mut envoy = Envoy::settled(&before);
    envoy.newer(&next);
    let progress = envoy.session.progress();
    assert_eq!(
        (progress.phase, progress.in_force.as_ref(), &progress.wanted),
        (Phase::Clusters, Some(&before.generation), &next.generation)
    );
    envoy.acks_for(1_000);
    assert_eq!(envoy.session.progress().in_force.as_ref(), Some(&next.generation));
}
