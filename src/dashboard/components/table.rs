//! Tables and the links between their pages.

use maud::{Markup, html};
use url::form_urlencoded;

use crate::dashboard::locale::Locale;
use crate::dashboard::texts::{Text, Translate, frame};

/// A column's heading and its kind of cells.
#[derive(Debug, Clone, Copy)]
pub enum Column {
    /// What a row is about: its header, and the title of its card on a narrow screen.
    Head(Text),
    Left(Text),
    /// Numbers and amounts.
    Right(Text),
    /// The row's links and buttons.
    Actions,
}

/// A table, with one cell per column in each row. If the table has no room for its columns, the stylesheet draws each
/// row as a card and writes the heading beside each cell. So no cell is ever outside the screen. Three columns always
/// have room.
pub fn table<const N: usize>(
    l: Locale,
    name: Text,
    columns: [Column; N],
    rows: impl IntoIterator<Item = [Markup; N]>,
) -> Markup {
    html! {
        div.table.few[N <= 3] {
            table aria-label=(l.t(name)) {
                thead { tr {
                    @for column in columns {
                        @match column {
                            Column::Head(text) | Column::Left(text) => th scope="col" { (l.t(text)) },
                            Column::Right(text) => th.right scope="col" { (l.t(text)) },
                            Column::Actions => td {},
                        }
                    }
                } }
                tbody {
                    @for row in rows {
                        tr { @for (column, cell) in columns.into_iter().zip(row) { (draw_cell(l, column, cell)) } }
                    }
                }
            }
        }
    }
}

fn draw_cell(l: Locale, column: Column, cell: Markup) -> Markup {
    html! {
        @match column {
            Column::Head(_) => th scope="row" { (cell) },
            Column::Left(text) => td data-label=(l.t(text)) { (value(cell)) },
            Column::Right(text) => td.right.number data-label=(l.t(text)) { (value(cell)) },
            Column::Actions => td.row-actions { (cell) },
        }
    }
}

/// A cell's content as one element beside its heading. An empty cell stays empty: a card leaves it out.
fn value(cell: Markup) -> Markup {
    html! { @if !cell.0.is_empty() { div { (cell) } } }
}

/// Links to the first and the next page of a list, if they exist.
pub fn pager(l: Locale, newest: Option<&str>, older: Option<&str>) -> Markup {
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
    l: Locale,
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
