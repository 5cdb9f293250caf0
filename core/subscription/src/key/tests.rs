use super::*;

const A: &str = "0x00000000000000000000000000000000000000aa";
const B: &str = "0x00000000000000000000000000000000000000bb";
const T: &str = "0x00000000000000000000000000000000000000000000000000000000000000c1";
const U: &str = "0x00000000000000000000000000000000000000000000000000000000000000c2";

fn key(params: &str) -> Key {
    Key::parse(Some(params)).unwrap()
}

#[test]
fn params_that_mean_the_same_share_a_key() {
    #[track_caller]
    fn check(one: &str, other: &str, sent: &str) {
        let spelled = |text: &str| {
            let named = [("'A'", A), ("'B'", B), ("'T'", T), ("'U'", U)];
            let text =
                named.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, &format!("'{value}'")));
            text.replace('\'', "\"")
        };
        for params in [one, other] {
            assert_eq!(key(&spelled(params)).params(), spelled(sent), "{params}");
        }
    }
    check("['newHeads']", "['newHeads',{}]", "['newHeads']");
    check("['syncing']", "['syncing',null]", "['syncing']");
    check("['newPendingTransactions']", "['newPendingTransactions',false]", "['newPendingTransactions']");
    check("['newPendingTransactions',true]", "['newPendingTransactions', true]", "['newPendingTransactions',true]");
    check("['logs']", "['logs',{'address':[],'topics':[null,[]]}]", "['logs',{}]");
    check("['logs',{'address':'A'}]", "['logs',{'address':['A','A']}]", "['logs',{'address':'A'}]");
    check("['logs',{'address':['A','B']}]", "['logs',{'address':['B','A']}]", "['logs',{'address':['A','B']}]");
    check(
        "['logs',{'topics':[null,['U','T'],null],'fromBlock':'latest'}]",
        "['logs',{'topics':[[null,'T'],['T','U','T']]}]",
        "['logs',{'topics':[null,['T','U']]}]",
    );
}

#[test]
fn upper_case_addresses_are_the_same() {
    let upper = A.to_uppercase().replace("0X", "0x");
    let [lower, upper] = [A, &upper].map(|address| key(&format!(r#"["logs",{{"address":"{address}"}}]"#)));
    assert_eq!(lower, upper);
}

#[test]
fn what_is_wrong_is_named() {
    #[track_caller]
    fn check(params: Option<&str>, said: &str) {
        let error = Key::parse(params.map(|params| params.replace('\'', "\"")).as_deref()).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (-32602, format!("invalid params: {said}").as_str()));
    }
    let kinds = "there are newHeads, logs, newPendingTransactions, syncing";
    check(None, &format!("cannot subscribe to nothing; {kinds}"));
    check(Some("[]"), &format!("cannot subscribe to nothing; {kinds}"));
    check(Some("{}"), "params must be an array");
    check(Some("[1]"), &format!("cannot subscribe to what is not a string; {kinds}"));
    check(Some("['newHead']"), &format!("cannot subscribe to \"newHead\"; {kinds}"));
    check(Some("['newHeads',true]"), "newHeads takes no argument");
    check(Some("['newHeads',null,1]"), "newHeads takes at most one argument");
    check(Some("['newPendingTransactions','yes']"), "newPendingTransactions takes true or false");
    check(Some("['logs','x']"), "the filter of logs must be an object");
    check(Some("['logs',{'address':'0x12'}]"), "address must be 20 bytes of hex");
    check(Some("['logs',{'topics':'0x12'}]"), "topics must be an array");
    check(Some("['logs',{'topics':[['0x12']]}]"), "topics[0] must be 32 bytes of hex");
    check(Some("['logs',{'topics':[null,null,null,null,null]}]"), "topics has more than 4 positions");
    check(Some("['logs',{'blockHash':'0x12'}]"), "a subscription to logs takes no blockHash");
}

#[test]
fn a_filter_asks_for_one_block_or_for_a_range() {
    let key = key(&format!(r#"["logs",{{"address":"{A}"}}]"#));
    let Key::Logs(filter) = key else { panic!("logs") };
    assert_eq!(filter.json_between(16, None), format!(r#"{{"fromBlock":"0x10","toBlock":"latest","address":"{A}"}}"#));
    assert_eq!(LogFilter::default().json_at(&[0; 32]), format!(r#"{{"blockHash":"0x{}"}}"#, "00".repeat(32)));
}
