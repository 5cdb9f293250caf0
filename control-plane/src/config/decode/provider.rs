//! Providers of a chain.

use std::collections::BTreeMap;

use lasso_routing::catalog::spec::{CapabilitiesSpec, CostSpec, ErrorRuleSpec};

use super::super::Provider;
use super::super::checked::{Item, Section, Value};
use super::super::problem::Place;
use super::super::scalar::locate;
use super::super::schema::SUBSCRIPTIONS;
use super::super::vendor::{self, Form};
use super::{Decoder, Names, rows};

impl Decoder<'_> {
    pub(super) fn providers(&mut self, chain: &Section) -> Vec<Provider> {
        let mut ids = Names::new("provider id");
        let mut urls: BTreeMap<String, (String, Place)> = BTreeMap::new();
        let mut providers = Vec::new();
        for section in chain.sections("providers") {
            if let Some(wrong) = section.text("id").and_then(|id| ids.claim(id, section.place_of("id"))) {
                self.wrong(section.place_of("id"), &format!("{}.id", section.path), wrong);
            }
            if !section.unset.is_empty() {
                let unset: Vec<_> = section.unset.iter().map(|name| format!("`{name}`")).collect();
                let verb = if unset.len() == 1 { "is" } else { "are" };
                self.warnings.push(format!("{} is left out: {} {verb} not set", section.path, unset.join(", ")));
                continue;
            }
            let Some(provider) = self.provider(section, chain.whole("chain_id")) else { continue };
            for (key, location) in [("url", Some(&provider.location)), ("ws_url", provider.ws.as_ref())] {
                let Some(location) = location else { continue };
                let url = format!("{:?}", (key, location, &provider.headers));
                if let Some((first, place)) = urls.get(&url) {
                    let line = format!("{}:{}", place.file, place.line);
                    let wrong = format!("is the URL of `{first}` at {line} as well; one URL is one provider");
                    self.wrong(section.place_of(key), &format!("{}.{key}", section.path), wrong);
                } else {
                    urls.insert(url, (provider.id.clone(), section.place_of(key).clone()));
                }
            }
            providers.push(provider);
        }
        if matches!(chain.value("providers"), Some(Value::Sections(sections)) if sections.is_empty()) {
            self.wrong(&chain.place, &format!("{}.providers", chain.path), "is empty; a chain needs a provider");
        } else if providers.is_empty() && !chain.sections("providers").is_empty() {
            self.warnings.push(format!("{} is left out: none of its providers can be used", chain.path));
        }
        providers
    }

    fn provider(&mut self, section: &Section, chain_id: Option<u64>) -> Option<Provider> {
        let url = self.url(section, "url", Form::Http, chain_id);
        let ws_url = self.url(section, "ws_url", Form::Ws, chain_id);
        let limits = section.section("capabilities")?;
        let capabilities = self.capabilities(limits);
        let public = section.flag("public")?;
        if public && section.value("cost").is_some() {
            let wrong = "stands beside `public: true`, which means 0; keep one";
            self.wrong(section.place_of("cost"), &format!("{}.cost", section.path), wrong);
        }
        let cost = match section.value("cost") {
            Some(Value::Table(table)) => Some(CostSpec::ByMethod(rows(table, Item::number))),
            Some(Value::One(item)) => item.number().map(CostSpec::Flat),
            Some(Value::List(_) | Value::Section(_) | Value::Named(_) | Value::Sections(_)) | None => None,
        };
        let headers = section.table("headers").iter();
        let mut headers: Vec<_> =
            headers.filter_map(|(name, item)| Some((name.clone(), item.text()?.to_owned()))).collect();
        // Their order means nothing, and must not make two of one channel.
        headers.sort();
        Some(Provider {
            id: section.text("id")?.to_owned(),
            location: locate(&url?)?,
            ws: ws_url.as_deref().and_then(locate),
            subscriptions: subscriptions(limits),
            headers,
            priority: section.small("priority")?,
            cost: cost.or(public.then_some(CostSpec::Flat(0.0))),
            archival: section.flag("archival")?,
            requests_per_second: section.section("rate_limit").and_then(|limit| limit.number("requests_per_second")),
            capabilities,
        })
    }

    /// The whole URL under a key, a shorthand spelt out.
    fn url(&mut self, section: &Section, key: &str, form: Form, chain_id: Option<u64>) -> Option<String> {
        match vendor::expand(section.text(key)?, form, chain_id?) {
            Ok(url) => Some(url),
            Err(wrong) => {
                self.wrong(section.place_of(key), &format!("{}.{key}", section.path), wrong);
                None
            }
        }
    }

    fn capabilities(&mut self, section: &Section) -> CapabilitiesSpec {
        let mut error_rules = Vec::new();
        for rule in section.sections("error_rules") {
            let (code, message) = (rule.integer("code"), rule.text("message").map(str::to_owned));
            if code.is_none() && message.is_none() {
                self.wrong(&rule.place, &rule.path, "matches every error; it needs `code` or `message`");
            }
            let Some(category) = rule.text("category") else { continue };
            error_rules.push(ErrorRuleSpec { code, message, category: category.to_owned() });
        }
        CapabilitiesSpec {
            unsupported_methods: section.texts("unsupported_methods"),
            max_block_range: section.small("max_block_range"),
            max_block_age: section.small("max_block_age"),
            max_batch: section.small("max_batch"),
            error_rules,
        }
    }
}

/// All of them unless it says which.
fn subscriptions(limits: &Section) -> Vec<String> {
    match limits.value("subscriptions") {
        Some(_) => limits.texts("subscriptions"),
        None => SUBSCRIPTIONS.iter().map(|kind| (*kind).to_owned()).collect(),
    }
}
