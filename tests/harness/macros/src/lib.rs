//! The attribute `#[per_database]`: makes a test on SQLite and a test on PostgreSQL of one function.

use proc_macro::{TokenStream, TokenTree};

/// Makes two tests of a function that takes a `Backend`: `NAME::sqlite` and `NAME::postgres`. They run
/// independently, in parallel. Other attributes, such as `#[ignore]`, apply to both tests.
#[proc_macro_attribute]
pub fn per_database(_: TokenStream, item: TokenStream) -> TokenStream {
    let is_word = |token: &TokenTree| matches!(token, TokenTree::Ident(_));
    let attributes: TokenStream = item.clone().into_iter().take_while(|t| !is_word(t)).collect();
    let function: TokenStream = item.into_iter().skip_while(|t| !is_word(t)).collect();
    let words: Vec<String> =
        function.clone().into_iter().filter(is_word).map(|w| w.to_string()).collect();
    let Some(name) = words.iter().skip_while(|word| *word != "fn").nth(1) else {
        return "compile_error!(\"per_database takes a function\");".parse().unwrap_or_default();
    };
    let (attribute, keyword, suffix) = match words.first().is_some_and(|word| word == "async") {
        true => ("#[tokio::test(flavor = \"multi_thread\")]", "async", ".await"),
        false => ("#[test]", "", ""),
    };
    let test = |name: &str, backend: &str, test: &str| {
        format!(
            "{attributes} {attribute} {keyword} fn {test}() {{
                if ::harness::Backend::{backend}.is_available() {{
                    super::{name}(::harness::Backend::{backend}){suffix};
                }}
            }}"
        )
    };
    let tests = [("Sqlite", "sqlite"), ("Postgres", "postgres")]
        .map(|(backend, test_name)| test(name, backend, test_name))
        .concat();
    format!("mod {name} {{ {tests} }} {function}").parse().unwrap_or_default()
}
