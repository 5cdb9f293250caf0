//! Configurations that documents and examples show are configurations that `lasso` takes.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use lasso_tests::{Scratch, run_within, tools};

/// Text of every fenced block of this language, with the line it begins on.
fn fenced(text: &str, language: &str) -> Vec<(usize, String)> {
    let (fence, mut blocks, mut open) = (format!("```{language}"), Vec::new(), None);
    for (number, line) in (1..).zip(text.lines()) {
        match &mut open {
            None if line.trim() == fence => open = Some((number, String::new())),
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some((_, block)) => *block += &format!("{line}\n"),
            None => {}
        }
    }
    blocks
}

fn documents() -> Vec<PathBuf> {
    let inside = fs::read_dir(tools::root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let named = ["README.md", "envoy/README.md", "CONTRIBUTING.md"].map(|name| tools::root().join(name));
    inside.filter(|path| path.extension().is_some_and(|kind| kind == "md")).chain(named).collect()
}

async fn refusal(file: &std::path::Path) -> Option<String> {
    let mut check = Command::new(tools::lasso().unwrap());
    check.arg("check").arg(file);
    let out = run_within(Duration::from_secs(20), check).await.unwrap();
    (!out.status.success()).then(|| String::from_utf8_lossy(&out.stderr).into_owned())
}

#[tokio::test]
async fn every_configuration_in_a_document_passes_lasso_check() {
    let scratch = Scratch::new().unwrap();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (line, block) in fenced(&text, "yaml") {
            let file = scratch.write("lasso.yaml", &block).unwrap();
            wrong.extend(refusal(&file).await.map(|said| format!("{}:{line}:\n{said}", document.display())));
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 0, "no document shows a configuration");
}

#[tokio::test]
async fn every_example_passes_lasso_check() {
    let examples: Vec<PathBuf> =
        fs::read_dir(tools::root().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!examples.is_empty(), "there is no example");
    for example in examples {
        assert_eq!(refusal(&example).await, None, "{}", example.display());
    }
}
