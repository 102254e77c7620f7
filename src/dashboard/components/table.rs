//! Tables and the links between their pages.

use maud::{Markup, html};
use nexo_domain::otp::Language;
use url::form_urlencoded;

use crate::dashboard::texts::{Text, Translate, frame};

/// A column's heading and alignment.
pub enum Column {
    Left(Text),
    Right(Text),
    /// For the row's buttons.
    Unnamed,
}

/// A scrollable table; `rows` are its `tr` elements.
pub fn table(l: Language, name: Text, columns: &[Column], rows: Markup) -> Markup {
    html! {
        div.table tabindex="0" role="region" aria-label=(l.t(name)) { (plain_table(l, columns, rows)) }
    }
}

/// A table without a scrolling region, for a narrow card.
pub fn plain_table(l: Language, columns: &[Column], rows: Markup) -> Markup {
    html! {
        table {
            thead { tr {
                @for column in columns {
                    @match column {
                        Column::Left(text) => th scope="col" { (l.t(*text)) },
                        Column::Right(text) => th.right scope="col" { (l.t(*text)) },
                        Column::Unnamed => td {},
                    }
                }
            } }
            tbody { (rows) }
        }
    }
}

/// Links to the first and the next page of a list, if they exist.
pub fn pager(l: Language, newest: Option<&str>, older: Option<&str>) -> Markup {
    html! {
        div.pager {
            @if let Some(newest) = newest {
                a.button.second href=(newest) { (l.t(frame::NEWEST)) }
            } @else { span {} }
            @if let Some(older) = older {
                a.button.second rel="next" href=(older) { (l.t(frame::OLDER)) }
            }
        }
    }
}

/// The pager of a list with an offset, which was queried for one row more than a page shows.
pub fn offset_pager(
    l: Language,
    path: &str,
    query: &[(&str, &str)],
    skip: u32,
    page_size: u32,
    rows: usize,
) -> Markup {
    let newest = (skip > 0).then(|| cursor_link(path, query.iter().copied()));
    let next_skip = skip.saturating_add(page_size).to_string();
    let next = query.iter().copied().chain([("skip", next_skip.as_str())]);
    let older = (rows > page_size as usize).then(|| cursor_link(path, next));
    pager(l, newest.as_deref(), older.as_deref())
}

/// A link to `path` with a query of the pairs that are not empty.
pub fn cursor_link<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty()));
    match query.finish().as_str() {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}
