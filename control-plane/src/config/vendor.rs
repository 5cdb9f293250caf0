//! Vendors' shorthand: `alchemy://KEY` is the vendor's URL for the chain that the provider stands under.
//!
//! Duty: the table of vendors, their URL forms and their names for chains.
//! Invariant: only vendors whose URL follows from chain and key alone are here; for the others the whole URL must be written.
//! Leaves to others: reachability, and whether a key is good (`lasso serve` and its probes).

/// A vendor.
#[derive(Debug)]
pub(crate) struct Vendor {
    pub(crate) scheme: &'static str,
    /// With `{chain}` and `{key}`.
    http: &'static str,
    ws: &'static str,
    chains: &'static [(u64, &'static str)],
}

/// Which of a vendor's two URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Http,
    Ws,
}

const VENDORS: &[Vendor] = &[
    Vendor {
        scheme: "alchemy",
        http: "https://{chain}.g.alchemy.com/v2/{key}",
        ws: "wss://{chain}.g.alchemy.com/v2/{key}",
        chains: &[
            (1, "eth-mainnet"),
            (10, "opt-mainnet"),
            (56, "bnb-mainnet"),
            (100, "gnosis-mainnet"),
            (137, "polygon-mainnet"),
            (324, "zksync-mainnet"),
            (5_000, "mantle-mainnet"),
            (8_453, "base-mainnet"),
            (42_161, "arb-mainnet"),
            (43_114, "avax-mainnet"),
            (59_144, "linea-mainnet"),
            (84_532, "base-sepolia"),
            (421_614, "arb-sepolia"),
            (534_352, "scroll-mainnet"),
            (11_155_111, "eth-sepolia"),
            (11_155_420, "opt-sepolia"),
        ],
    },
    Vendor {
        scheme: "infura",
        http: "https://{chain}.infura.io/v3/{key}",
        ws: "wss://{chain}.infura.io/ws/v3/{key}",
        chains: &[
            (1, "mainnet"),
            (10, "optimism-mainnet"),
            (56, "bsc-mainnet"),
            (137, "polygon-mainnet"),
            (8_453, "base-mainnet"),
            (42_161, "arbitrum-mainnet"),
            (59_144, "linea-mainnet"),
            (84_532, "base-sepolia"),
            (11_155_111, "sepolia"),
        ],
    },
    Vendor {
        scheme: "drpc",
        http: "https://lb.drpc.org/ogrpc?network={chain}&dkey={key}",
        ws: "wss://lb.drpc.org/ogws?network={chain}&dkey={key}",
        chains: &[
            (1, "ethereum"),
            (10, "optimism"),
            (56, "bsc"),
            (100, "gnosis"),
            (137, "polygon"),
            (8_453, "base"),
            (42_161, "arbitrum"),
            (43_114, "avalanche"),
            (59_144, "linea"),
            (534_352, "scroll"),
            (11_155_111, "sepolia"),
        ],
    },
    Vendor {
        scheme: "ankr",
        http: "https://rpc.ankr.com/{chain}/{key}",
        ws: "wss://rpc.ankr.com/{chain}/ws/{key}",
        chains: &[
            (1, "eth"),
            (10, "optimism"),
            (56, "bsc"),
            (100, "gnosis"),
            (137, "polygon"),
            (8_453, "base"),
            (42_161, "arbitrum"),
            (43_114, "avalanche"),
            (59_144, "linea"),
            (534_352, "scroll"),
            (11_155_111, "eth_sepolia"),
        ],
    },
];

/// The vendor with this scheme.
pub(crate) fn named(scheme: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.scheme == scheme)
}

/// The schemes there are.
pub(crate) fn schemes() -> impl Iterator<Item = &'static str> {
    VENDORS.iter().map(|vendor| vendor.scheme)
}

/// Whether this can stand for `{key}`.
pub(crate) fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
}

/// The whole URL for what may be a shorthand. The error says what would be right.
pub(crate) fn expand(url: &str, form: Form, chain_id: u64) -> Result<String, String> {
    let Some((vendor, key)) = url.split_once("://").and_then(|(scheme, key)| Some((named(scheme)?, key))) else {
        return Ok(url.to_owned());
    };
    let Some((_, chain)) = vendor.chains.iter().find(|(id, _)| *id == chain_id) else {
        let known: Vec<_> = vendor.chains.iter().map(|(id, _)| id.to_string()).collect();
        return Err(format!(
            "the shorthand `{}://` has no name for chain {chain_id} (it knows {}); write the whole URL",
            vendor.scheme,
            known.join(", ")
        ));
    };
    let pattern = match form {
        Form::Http => vendor.http,
        Form::Ws => vendor.ws,
    };
    Ok(pattern.replace("{chain}", chain).replace("{key}", key))
}

#[cfg(test)]
mod tests {
    use super::{Form, VENDORS, expand};

    #[track_caller]
    fn check(url: &str, form: Form, chain_id: u64, expected: &str) {
        assert_eq!(expand(url, form, chain_id).as_deref(), Ok(expected));
    }

    #[test]
    fn a_shorthand_becomes_the_vendors_url_for_the_chain() {
        check("alchemy://k", Form::Http, 8_453, "https://base-mainnet.g.alchemy.com/v2/k");
        check("infura://k", Form::Ws, 1, "wss://mainnet.infura.io/ws/v3/k");
        check("drpc://k", Form::Http, 137, "https://lb.drpc.org/ogrpc?network=polygon&dkey=k");
        check("https://host/a", Form::Http, 1, "https://host/a");
    }

    #[test]
    fn an_unknown_chain_is_told_with_the_known_ones_and_without_the_key() {
        let error = expand("ankr://topsecret", Form::Http, 31_337).unwrap_err();
        assert!(error.contains("chain 31337") && error.contains("8453"), "{error}");
        assert!(!error.contains("topsecret"), "{error}");
    }

    #[test]
    fn tables_are_sorted_and_without_duplicates() {
        for vendor in VENDORS {
            assert!(vendor.chains.is_sorted_by(|left, right| left.0 < right.0), "{}", vendor.scheme);
        }
    }
}
