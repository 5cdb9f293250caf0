//! JSON in Envoy's words to protobuf.
//!
//! Duty: make an `Any` of a resource, with the `@type`s inside it resolved.
//! Invariant: an unknown field or message is an error, never dropped: what is served is what `lasso render envoy` prints.
//! Leaves to others: what the resources say (`resources`).
//!
//! `envoy.binpb` holds the descriptors of exactly the files that our resources use, out of the `envoy-types` crate; a test compares.

use std::sync::LazyLock;

use anyhow::Context;
use envoy_types::pb::google::protobuf::Any;
use prost::Message;
use prost_reflect::{DescriptorError, DescriptorPool, DeserializeOptions, DynamicMessage};
use serde_json::Value;

/// The messages that resources are made of.
#[derive(Debug, Clone)]
pub(crate) struct Schema(DescriptorPool);

impl Schema {
    /// Read once; every reload needs it.
    pub(crate) fn load() -> anyhow::Result<Self> {
        static POOL: LazyLock<Result<DescriptorPool, DescriptorError>> =
            LazyLock::new(|| DescriptorPool::decode(include_bytes!("envoy.binpb").as_slice()));
        Ok(Self(POOL.as_ref().context("the embedded descriptors cannot be read")?.clone()))
    }

    /// One message of the named type.
    pub(crate) fn encode(&self, message: &str, json: &Value) -> anyhow::Result<Any> {
        let descriptor = self.0.get_message_by_name(message).with_context(|| format!("no message {message}"))?;
        let options = DeserializeOptions::new().deny_unknown_fields(true);
        let dynamic = DynamicMessage::deserialize_with_options(descriptor, json, &options)
            // The error quotes no values of ours, only names of fields and types.
            .with_context(|| format!("a resource is not a {message}"))?;
        Ok(Any { type_url: super::resources::type_url(message), value: dynamic.encode_to_vec() })
    }
}

#[cfg(test)]
mod tests;
