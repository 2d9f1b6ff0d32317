//! From an attributed struct to a [`ModelSpec`].

use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Field, Fields, ItemStruct, Lit, Meta, UnOp};

use super::OWNER;
use super::spec::{Column, DefaultValue, Index, Marks, ModelSpec, ON_DELETE, Relation};
use crate::option::{self, Entry, Key, Problems};
use crate::{case, doc, postgres, refuse};

#[derive(Clone, Copy)]
enum ModelOption {
    Table,
    Index,
    Unique,
    Reactive,
}

const KEYS: &[Key<ModelOption>] = &[
    Key { name: "table", usage: "table = \"tasks\"", id: ModelOption::Table },
    Key { name: "index", usage: "index(project, status)", id: ModelOption::Index },
    Key { name: "unique", usage: "unique(project, title)", id: ModelOption::Unique },
    Key { name: "reactive", usage: "reactive = false", id: ModelOption::Reactive },
];

const INDEX_WHERE: Key<()> = Key { name: "where", usage: "where = \"status <> 'done'\"", id: () };
const INDEX_NAME: Key<()> = Key { name: "name", usage: "name = \"tasks_open_idx\"", id: () };

const FIELD_ATTRIBUTES: &[&str] =
    &["id", "indexed", "unique", "updated_at", "sensitive", "default", "column", "relation"];

/// Checks everything and reports every mistake.
pub(crate) fn model(tokens: TokenStream, item: &ItemStruct) -> syn::Result<ModelSpec> {
    let Fields::Named(fields) = &item.fields else {
        return Err(syn::Error::new_spanned(&item.ident, "a model has named fields: they are the columns"));
    };
    let mut problems = Problems::default();
    problems.keep(refuse::generics(&item.generics, "a model"));
    problems.keep(refuse::derives(
        &item.attrs,
        &["Clone", "Debug", "Serialize", "Deserialize", "FromRow"],
        OWNER,
    ));
    let columns: Vec<_> = fields.named.iter().filter_map(|field| problems.keep(column(field))).collect();
    problems.keep(distinct(&columns));
    let entries = option::entries(tokens)?;
    problems.keep(option::once(&entries, &["index", "unique"]));
    let table = problems.keep(table(&entries, &item.ident));
    let reactive = problems.keep(reactive(&entries)).flatten();
    // What follows names columns; with some of them unread it would report their absence.
    problems.finish()?;
    let table = table.expect("no problem was found, so it was read");
    let mut problems = Problems::default();
    let mut indexes: Vec<_> = columns
        .iter()
        .flat_map(|column| single(&table, column))
        .filter_map(|index| problems.keep(index))
        .collect();
    for entry in &entries {
        indexes.extend(problems.keep(composite(entry, &table, &columns)).flatten());
    }
    let id = problems.keep(id(item, &columns));
    problems.keep(distinct_indexes(item, &indexes));
    problems.finish()?;
    let (item, doc) = (without_our_attributes(item.clone()), doc::first_paragraph(&item.attrs));
    Ok(ModelSpec {
        item,
        table,
        doc,
        reactive,
        columns,
        indexes,
        id: id.expect("no problem was found, so it was read"),
    })
}

/// The struct as rustc may see it.
pub(crate) fn without_our_attributes(mut item: ItemStruct) -> ItemStruct {
    refuse::strip_derives(&mut item.attrs);
    for field in &mut item.fields {
        field.attrs.retain(|attribute| !FIELD_ATTRIBUTES.iter().any(|name| attribute.path().is_ident(name)));
    }
    item
}

fn table(entries: &[Entry], model: &Ident) -> syn::Result<String> {
    let mut problems = Problems::default();
    let mut table = None;
    for entry in entries {
        let Some(key) = problems.keep(entry.find(KEYS, OWNER)) else { continue };
        if let ModelOption::Table = key.id {
            table = problems.keep(entry.string(key));
        }
    }
    problems.finish()?;
    let usage = format!(
        "{OWNER} names its table: `#[forge::model(table = \"{}s\")]`",
        case::snake(&model.to_string())
    );
    let table = table.ok_or_else(|| syn::Error::new(Span::call_site(), usage))?;
    postgres::identifier(&table.value(), table.span(), "the table")?;
    Ok(table.value())
}

/// `reactive`, `reactive = false`
fn reactive(entries: &[Entry]) -> syn::Result<Option<bool>> {
    let Some(entry) = entries.iter().find(|entry| entry.name == "reactive") else { return Ok(None) };
    let key = entry.find(KEYS, OWNER)?;
    match &entry.value {
        option::Value::Absent => Ok(Some(true)),
        option::Value::Is(_) => entry.boolean(key).map(Some),
        option::Value::List(_) => Err(entry.misused(key)),
    }
}

fn column(field: &Field) -> syn::Result<Column> {
    let ident = field.ident.clone().expect("named fields have names");
    let mut problems = Problems::default();
    let mut marks = Marks::default();
    for attribute in &field.attrs {
        problems.keep(mark(attribute, &mut marks));
    }
    problems.keep(consistent(&marks));
    let plain = ident.unraw().to_string();
    let (name, span) =
        marks.name.as_ref().map_or_else(|| (plain.clone(), ident.span()), |name| (name.value(), name.span()));
    problems.keep(postgres::identifier(&name, span, "the column"));
    problems.finish()?;
    let sql = marks.sql.as_ref().map(syn::LitStr::value);
    Ok(Column { field: ident, ty: field.ty.clone(), wire: case::camel(&plain), name, sql, marks })
}

fn mark(attribute: &Attribute, marks: &mut Marks) -> syn::Result<()> {
    let Some(name) = FIELD_ATTRIBUTES.iter().find(|name| attribute.path().is_ident(name)) else {
        return Ok(());
    };
    let twice = || syn::Error::new_spanned(attribute, format!("`#[{name}]` is given twice"));
    let flag = |slot: &mut Option<Span>| match (&attribute.meta, slot.replace(attribute.path().span())) {
        (Meta::Path(_), None) => Ok(()),
        (Meta::Path(_), Some(_)) => Err(twice()),
        _ => Err(syn::Error::new_spanned(attribute, format!("`#[{name}]` has no options"))),
    };
    match *name {
        "id" => flag(&mut marks.id),
        "indexed" => flag(&mut marks.indexed),
        "unique" => flag(&mut marks.unique),
        "updated_at" => flag(&mut marks.updated_at),
        "sensitive" => flag(&mut marks.sensitive),
        "default" => match marks.default.replace(default(attribute)?) {
            None => Ok(()),
            Some(_) => Err(twice()),
        },
        "relation" => match marks.relation.replace(relation(attribute)?) {
            None => Ok(()),
            Some(_) => Err(twice()),
        },
        _ => column_options(attribute, marks),
    }
}

/// `#[column(name = "..", type = "..")]`
fn column_options(attribute: &Attribute, marks: &mut Marks) -> syn::Result<()> {
    let keys = [
        Key { name: "name", usage: "name = \"project_id\"", id: true },
        Key { name: "type", usage: "type = \"varchar(80)\"", id: false },
    ];
    let entries = option::entries_of(attribute)?;
    option::once(&entries, &[])?;
    if entries.is_empty() {
        return Err(syn::Error::new_spanned(
            attribute,
            "`#[column]` says something: `name = \"..\"`, `type = \"..\"`",
        ));
    }
    for entry in &entries {
        let key = entry.find(&keys, "`#[column]`")?;
        let value = entry.string(key)?;
        if value.value().trim().is_empty() {
            return Err(entry.misused(key));
        }
        if key.id { marks.name = Some(value) } else { marks.sql = Some(value) }
    }
    Ok(())
}

fn default(attribute: &Attribute) -> syn::Result<DefaultValue> {
    let usage = "write `#[default = \"open\"]` for a value, `#[default(sql = \"now()\")]` for an expression";
    match &attribute.meta {
        Meta::NameValue(pair) => {
            let value = constant(&pair.value).ok_or_else(|| syn::Error::new_spanned(&pair.value, usage))?;
            if value.ends_with(')') && value.contains('(') {
                let message = format!(
                    "`{value}` looks like an expression, and this is the text itself: write \
                     `#[default(sql = \"{value}\")]`"
                );
                return Err(syn::Error::new_spanned(&pair.value, message));
            }
            Ok(DefaultValue::Value(value, pair.value.span()))
        }
        Meta::List(_) => {
            let entries = option::entries_of(attribute)?;
            option::once(&entries, &[])?;
            let [entry] = entries.as_slice() else { return Err(syn::Error::new_spanned(attribute, usage)) };
            let key = Key { name: "sql", usage: "sql = \"now()\"", id: () };
            let text = entry.string(entry.find(&[Key { ..key }], "`#[default]`")?)?;
            Ok(DefaultValue::Expression(text.value()))
        }
        Meta::Path(_) => Err(syn::Error::new_spanned(attribute, usage)),
    }
}

/// The text of a literal, with its sign.
fn constant(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => Some(number.base10_digits().to_owned()),
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => Some(number.base10_digits().to_owned()),
        Expr::Lit(ExprLit { lit: Lit::Bool(value), .. }) => Some(value.value.to_string()),
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => {
            constant(&unary.expr).map(|text| format!("-{text}"))
        }
        _ => None,
    }
}

fn relation(attribute: &Attribute) -> syn::Result<Relation> {
    let keys = [
        Key { name: "belongs_to", usage: "belongs_to = Project", id: true },
        Key { name: "on_delete", usage: "on_delete = cascade", id: false },
    ];
    let entries = option::entries_of(attribute)?;
    option::once(&entries, &[])?;
    let (mut target, mut on_delete) = (None, None);
    for entry in &entries {
        let key = entry.find(&keys, "`#[relation]`")?;
        let path = entry.path(key)?;
        if key.id {
            target = Some(path);
            continue;
        }
        let found = ON_DELETE.iter().find(|(word, _)| path.is_ident(word));
        let wrong =
            || syn::Error::new_spanned(&path, "`on_delete` is one of `restrict`, `cascade`, `set_null`");
        on_delete = Some(found.ok_or_else(wrong)?.1);
    }
    let usage = || {
        syn::Error::new_spanned(attribute, "write `#[relation(belongs_to = Project, on_delete = cascade)]`")
    };
    // No default: what happens to the rows is a decision, and a wrong guess deletes data.
    Ok(Relation {
        target: target.ok_or_else(usage)?,
        on_delete: on_delete.ok_or_else(usage)?,
        span: attribute.path().span(),
    })
}

fn consistent(marks: &Marks) -> syn::Result<()> {
    let mut problems = Problems::default();
    if let (Some(_), Some(span)) = (marks.id, marks.indexed.or(marks.unique)) {
        problems.add(syn::Error::new(span, "the id is unique and indexed already"));
    }
    if let (Some(_), Some(span)) = (marks.unique, marks.indexed) {
        problems.add(syn::Error::new(span, "a unique column is indexed already"));
    }
    if let (Some(span), true) = (marks.updated_at, marks.default.is_some() || marks.id.is_some()) {
        problems.add(syn::Error::new(span, "`#[updated_at]` sets the column by itself: no default, no id"));
    }
    if let (Some(span), Some(_)) = (marks.sensitive, marks.id) {
        problems.add(syn::Error::new(span, "an id names its row everywhere and cannot be hidden"));
    }
    problems.finish()
}

fn distinct(columns: &[Column]) -> syn::Result<()> {
    let mut problems = Problems::default();
    for (index, column) in columns.iter().enumerate() {
        let earlier = &columns[..index];
        if let Some(other) = earlier.iter().find(|other| other.name == column.name) {
            let message =
                format!("`{}` and `{}` are both the column `{}`", other.field, column.field, column.name);
            problems.add(syn::Error::new(column.field.span(), message));
        } else if let Some(other) = earlier.iter().find(|other| other.wire == column.wire) {
            let message = format!(
                "`{}` and `{}` are both `{}` in JSON: rename one",
                other.field, column.field, column.wire
            );
            problems.add(syn::Error::new(column.field.span(), message));
        }
    }
    problems.finish()
}

fn id(item: &ItemStruct, columns: &[Column]) -> syn::Result<usize> {
    let mut ids = columns.iter().enumerate().filter(|(_, column)| column.marks.id.is_some());
    let missing =
        || syn::Error::new_spanned(&item.ident, "mark the primary key with `#[id]`: `#[id] pub id: TaskId`");
    let (first, _) = ids.next().ok_or_else(missing)?;
    match ids.next() {
        None => Ok(first),
        Some((_, second)) => Err(syn::Error::new(
            second.field.span(),
            "a model has one `#[id]`; for a key of several columns add `unique(..)` to the model",
        )),
    }
}

/// The index of `#[indexed]` or `#[unique]`.
fn single(table: &str, column: &Column) -> Option<syn::Result<Index>> {
    let unique = column.marks.unique.is_some();
    let span = column.marks.unique.or(column.marks.indexed)?;
    Some(named(None, table, vec![column.name.clone()], unique, None, span))
}

/// `index(project, status, where = "..", name = "..")`
fn composite(entry: &Entry, table: &str, columns: &[Column]) -> syn::Result<Option<Index>> {
    let key = entry.find(KEYS, OWNER)?;
    let unique = match key.id {
        ModelOption::Table | ModelOption::Reactive => return Ok(None),
        ModelOption::Index => false,
        ModelOption::Unique => true,
    };
    let mut problems = Problems::default();
    let (mut names, mut predicate, mut name) = (Vec::new(), None, None);
    for part in entry.list(key)? {
        if part.name == INDEX_WHERE.name {
            predicate = problems.keep(part.string(&INDEX_WHERE)).map(|text| text.value());
        } else if part.name == INDEX_NAME.name && !matches!(part.value, option::Value::Absent) {
            name = problems.keep(part.string(&INDEX_NAME)).map(|text| text.value());
        } else {
            names.extend(problems.keep(column_of(part, columns)).map(|column| column.name.clone()));
        }
    }
    problems.finish()?;
    if names.is_empty() {
        return Err(entry.misused(key));
    }
    named(name, table, names, unique, predicate, entry.span()).map(Some)
}

fn column_of<'c>(part: &Entry, columns: &'c [Column]) -> syn::Result<&'c Column> {
    let known = || columns.iter().map(|column| column.field.unraw().to_string()).collect::<Vec<_>>();
    if !matches!(part.value, option::Value::Absent) {
        let message =
            "an index lists fields, then `where = \"..\"` and `name = \"..\"` where they are needed";
        return Err(syn::Error::new(part.span(), message));
    }
    columns.iter().find(|column| column.field.unraw() == part.name.unraw()).ok_or_else(|| {
        let names = known();
        let hint = case::nearest(&part.name.to_string(), names.iter().map(String::as_str))
            .map(|name| format!("; did you mean `{name}`?"));
        syn::Error::new(
            part.span(),
            format!("the model has no field `{}`{}", part.name, hint.unwrap_or_default()),
        )
    })
}

fn named(
    name: Option<String>,
    table: &str,
    columns: Vec<String>,
    unique: bool,
    predicate: Option<String>,
    span: Span,
) -> syn::Result<Index> {
    let ending = if unique { "key" } else { "idx" };
    let name = name.unwrap_or_else(|| format!("{table}_{}_{ending}", columns.join("_")));
    postgres::identifier(&name, span, "the index").map_err(|error| {
        let remedy = "choose a name of its own in the model's attribute: `index(.., name = \"..\")`";
        syn::Error::new(span, format!("{error}; {remedy}"))
    })?;
    Ok(Index { name, columns, unique, predicate })
}

fn distinct_indexes(item: &ItemStruct, indexes: &[Index]) -> syn::Result<()> {
    for (position, index) in indexes.iter().enumerate() {
        if indexes[..position].iter().any(|earlier| earlier.name == index.name) {
            return Err(syn::Error::new_spanned(
                &item.ident,
                format!("two indexes are named `{}`: leave one out, or give it `name = \"..\"`", index.name),
            ));
        }
    }
    Ok(())
}
