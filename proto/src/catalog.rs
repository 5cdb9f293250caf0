//! The catalog on the wire.
//!
//! Duty: [`CatalogSpec`] to and from the bytes of a `google.protobuf.Struct`.
//! Invariant: `decode(encode(spec)) == spec`.
//! Leaves to others: putting the bytes into an xDS resource, or the JSON into Envoy YAML.

use lasso_routing::catalog::CatalogSpec;
use prost::Message;
use prost_types::Struct;
use serde::Deserialize;

use crate::structure::{from_object, to_value};

/// Why plugin configuration bytes are not a catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogDecodeError {
    /// The plugin's `configuration` is not a `google.protobuf.Struct`.
    #[error("the plugin configuration is not a google.protobuf.Struct: {0}")]
    NotStruct(#[from] prost::DecodeError),
    /// A key is unknown, missing or of the wrong type.
    #[error("the catalog does not read: {0}")]
    Shape(#[from] serde_json::Error),
}

/// Reads the plugin configuration that Envoy hands to the filter.
pub fn decode(bytes: &[u8]) -> Result<CatalogSpec, CatalogDecodeError> {
    let fields = Struct::decode(bytes)?;
    Ok(CatalogSpec::deserialize(to_value(fields))?)
}

/// The catalog as the fields of a `google.protobuf.Struct`, in JSON: what stands under `value` in Envoy YAML.
pub fn to_json(spec: &CatalogSpec) -> Result<serde_json::Value, CatalogDecodeError> {
    Ok(serde_json::to_value(spec)?)
}

/// The bytes of the `google.protobuf.Struct`, as Envoy would hand them to the filter.
pub fn encode(spec: &CatalogSpec) -> Result<Vec<u8>, CatalogDecodeError> {
    let fields = serde_json::Map::deserialize(to_json(spec)?)?;
    Ok(from_object(fields).encode_to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> CatalogSpec {
        serde_json::from_value(json!({
            "version": 1, "generation": "00ff", "workers": 2,
            "channels": [{"id": "ethereum/a/http", "transport": "http", "cluster": "lasso/ethereum/a/http", "authority": "a.example",
                          "path": "/v2/key?x=1", "headers": {"x-project": "demo"}}],
            "profiles": [{"id": "public", "chains": [{"id": "ethereum", "chain_id": "18446744073709551615", "strategy": "fastest",
                          "providers": [{"id": "a", "channels": ["ethereum/a/http"], "cost": 0.4, "requests_per_second": 12.5}]}]}],
        }))
        .unwrap()
    }

    #[test]
    fn a_catalog_survives_the_wire() {
        let spec = spec();
        assert_eq!(decode(&encode(&spec).unwrap()).unwrap(), spec);
    }

    #[test]
    fn integers_written_as_doubles_are_read_as_integers() {
        let mut spec = spec();
        spec.max_body_bytes = 8_000_000;
        assert_eq!(decode(&encode(&spec).unwrap()).unwrap().max_body_bytes, 8_000_000);
    }

    #[test]
    fn unknown_keys_are_errors_that_name_the_key() {
        let mut json = to_json(&spec()).unwrap();
        json["chanels"] = json!([]);
        let serde_json::Value::Object(fields) = json else { unreachable!() };
        let error = decode(&from_object(fields).encode_to_vec()).unwrap_err().to_string();
        assert!(error.contains("chanels"), "{error}");
    }

    #[test]
    fn bytes_that_are_no_struct_are_an_error() {
        assert!(matches!(
            decode(b"{\"version\":1}"),
            Err(CatalogDecodeError::NotStruct(_) | CatalogDecodeError::Shape(_))
        ));
    }
}
