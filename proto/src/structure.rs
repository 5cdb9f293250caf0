//! `google.protobuf.Struct` to and from JSON values.
//!
//! Duty: the mapping of protobuf's JSON well-known types, both ways.
//! Invariant: whole numbers below 2^53 come back as integers, although a `Struct` only knows doubles.
//! Leaves to others: meaning.

use prost_types::{ListValue, Struct, Value as ProtoValue, value::Kind};
use serde_json::{Map, Number, Value};

/// Above this a double no longer holds every integer; such numbers stay floating point.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A `Struct` as a JSON object.
pub fn to_value(fields: Struct) -> Value {
    Value::Object(fields.fields.into_iter().map(|(key, value)| (key, value_of(value))).collect())
}

/// A JSON object as a `Struct`.
pub fn from_object(fields: Map<String, Value>) -> Struct {
    Struct { fields: fields.into_iter().map(|(key, value)| (key, proto_of(value))).collect() }
}

fn value_of(value: ProtoValue) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(number)) => number_of(number),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(value_of).collect()),
        Some(Kind::StructValue(fields)) => to_value(fields),
    }
}

fn number_of(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < EXACT {
        Value::Number(Number::from(number as i64))
    } else {
        Number::from_f64(number).map_or(Value::Null, Value::Number)
    }
}

fn proto_of(value: Value) -> ProtoValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(list) => Kind::ListValue(ListValue { values: list.into_iter().map(proto_of).collect() }),
        Value::Object(fields) => Kind::StructValue(from_object(fields)),
    };
    ProtoValue { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: Value) {
        let Value::Object(fields) = value.clone() else { panic!("not an object") };
        assert_eq!(to_value(from_object(fields)), value);
    }

    #[test]
    fn every_json_type_survives() {
        check(json!({"a": null, "b": true, "c": "x", "d": -3, "e": 0.5, "f": [1, {"g": []}], "h": {}}));
    }

    proptest! {
        #[test]
        fn whole_numbers_below_2_to_the_53_survive(number in -(1_i64 << 52)..(1_i64 << 52)) {
            check(json!({ "n": number }));
        }
    }
}
