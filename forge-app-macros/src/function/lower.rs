//! From a [`FnSpec`] to code.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::message;
use super::spec::{Access, CronOptions, FnSpec, JobOptions, Options, WorkflowOptions};

/// The function, its message, `impl Handler` and the registration.
pub(crate) fn handler(spec: &FnSpec) -> TokenStream {
    let function = &spec.function;
    let cfgs: Vec<_> = function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
    let message = message::path(spec);
    let definition = message::definition(spec, &cfgs);
    let implementations = message::implementations(spec, &cfgs);
    let (meta, decode, run) = (meta(spec), message::decode(spec), run(spec));
    let marker = format_ident!("{}", spec.kind.marker);
    let output = &spec.output;
    let error = spec
        .error
        .as_ref()
        .map_or_else(|| quote! { ::forge::kernel::fault::Fault }, |error| quote! { #error });
    quote! {
        #function

        #definition
        #implementations

        #(#cfgs)*
        // A message is recommended nowhere: where a type is no message, a list of all messages helps nobody.
        #[diagnostic::do_not_recommend]
        impl ::forge::app::Handler for #message {
            type Kind = ::forge::app::#marker;
            type Output = #output;
            type Error = #error;
            #[allow(clippy::needless_update, reason = "an attribute may name every option of its kind")]
            const META: ::forge::app::Meta = #meta;

            #run

            #decode
        }

        #(#cfgs)*
        ::forge::register!(#message);
    }
}

fn meta(spec: &FnSpec) -> TokenStream {
    let Options { access, name, timeout_ms, concurrency, input_bytes_max, .. } = &spec.options;
    let constructor = format_ident!("{}", spec.kind.name);
    let function = spec.function.sig.ident.unraw().to_string();
    let doc = &spec.doc;
    let access = access.as_ref().map(|access| {
        let access = match access {
            Access::Public => quote! { Public },
            Access::Authenticated => quote! { Authenticated },
            Access::Role(role) => quote! { Role(#role) },
            Access::Internal => quote! { Internal },
        };
        quote! { access: ::forge::app::Access::#access, }
    });
    let deprecated =
        spec.deprecated.as_ref().map(|note| quote! { deprecated: ::core::option::Option::Some(#note), });
    let name = name.as_ref().map(|name| quote! { name: ::core::option::Option::Some(#name), });
    let timeout = timeout_ms.map(|ms| quote! { timeout: ::core::time::Duration::from_millis(#ms), });
    let concurrency = concurrency.map(|count| quote! { concurrency: ::core::option::Option::Some(#count), });
    let input = input_bytes_max.map(|bytes| quote! { input_bytes_max: #bytes as usize, });
    let options = kind_options(spec);
    quote! {
        ::forge::app::Meta {
            doc: #doc,
            options: #options,
            #deprecated #access #name #timeout #concurrency #input
            ..::forge::app::Meta::#constructor(
                ::core::module_path!(),
                #function,
                ::core::file!(),
                ::core::line!(),
            )
        }
    }
}

/// The options that only this kind has. What was not written has the default of the kind.
fn kind_options(spec: &FnSpec) -> TokenStream {
    let FnSpec { kind, options, limits, .. } = spec;
    let marker = format_ident!("{}", kind.marker);
    let Some(options_type) = kind.options_type else { return quote! { ::forge::app::KindOptions::#marker } };
    let options_type = format_ident!("{options_type}");
    let Options { snapshot, refresh_ms, isolation, aliases, job, .. } = options;
    let snapshot = snapshot.then(|| quote! { snapshot: true, });
    let refresh = refresh_ms.map(|ms| optional_time("refresh", ms));
    let isolation = isolation.map(|variant| {
        let variant = format_ident!("{variant}");
        quote! { isolation: ::forge::app::Isolation::#variant, }
    });
    let aliases = (!aliases.is_empty()).then(|| quote! { aliases: &[#(#aliases),*], });
    let job = job_options(job, limits.as_ref());
    let durable = match kind.name {
        "cron" => {
            let cron = cron_options(&options.cron);
            quote! {
                job: ::forge::app::JobMeta { #job #aliases ..::forge::app::CronMeta::DEFAULT.job },
                #cron
            }
        }
        "workflow" => {
            let workflow = workflow_options(&options.workflow);
            quote! { #workflow #aliases }
        }
        _ => quote! { #job #aliases },
    };
    quote! {
        ::forge::app::KindOptions::#marker(::forge::app::#options_type {
            #snapshot #refresh #isolation #durable
            ..::forge::app::#options_type::DEFAULT
        })
    }
}

/// The fields of `JobMeta` that were written.
fn job_options(options: &JobOptions, limits: Option<&TokenStream>) -> TokenStream {
    let JobOptions { queue, priority, attempts, backoff, limits: _, capability, retain_ms, resources } =
        options;
    let queue = queue.as_ref().map(|queue| quote! { queue: #queue, });
    let priority = priority.map(|priority| quote! { priority: #priority, });
    let attempts = attempts.map(|attempts| quote! { attempts: #attempts, });
    let backoff = backoff.as_ref().map(|backoff| quote! { backoff: #backoff, });
    let limits = limits.map(|limits| quote! { limits: #limits, });
    let capability = capability
        .as_ref()
        .map(|capability| quote! { capability: ::core::option::Option::Some(#capability), });
    let retain = retain_ms.map(|ms| optional_time("retain", ms));
    let resources = (!resources.is_empty()).then(|| {
        let needs = resources.iter().map(|(word, amount)| quote! { (#word, #amount) });
        quote! { resources: &[#(#needs),*], }
    });
    quote! { #queue #priority #attempts #backoff #limits #capability #retain #resources }
}

/// The fields of `CronMeta` that were written, without its `job`.
fn cron_options(options: &CronOptions) -> TokenStream {
    let CronOptions { expression, timezone, overlap, catch_up, jitter_ms } = options;
    let expression =
        expression.as_ref().map(|text| quote! { expression: ::core::option::Option::Some(#text), });
    let timezone = timezone.as_ref().map(|zone| quote! { timezone: #zone, });
    let overlap = overlap.map(|variant| {
        let variant = format_ident!("{variant}");
        quote! { overlap: ::forge::app::CronOverlap::#variant, }
    });
    let catch_up = catch_up.map(|count| quote! { catch_up: #count, });
    let jitter = jitter_ms.map(|ms| quote! { jitter: ::core::time::Duration::from_millis(#ms), });
    quote! { #expression #timezone #overlap #catch_up #jitter }
}

/// The fields of `WorkflowMeta` that were written, without its `aliases`.
fn workflow_options(options: &WorkflowOptions) -> TokenStream {
    let WorkflowOptions { version, timeout_ms, deprecated, retention_ms } = options;
    let version = version.map(|version| quote! { version: #version, });
    let timeout = timeout_ms.map(|ms| optional_time("timeout", ms));
    let deprecated = deprecated.then(|| quote! { deprecated: true, });
    let retention = retention_ms.map(|ms| optional_time("retention", ms));
    quote! { #version #timeout #deprecated #retention }
}

/// A field that holds a time or nothing.
fn optional_time(field: &str, ms: u64) -> TokenStream {
    let field = format_ident!("{field}");
    quote! { #field: ::core::option::Option::Some(::core::time::Duration::from_millis(#ms)), }
}

fn run(spec: &FnSpec) -> TokenStream {
    // The context's type is checked here; at the place where it is written the message makes sense.
    let context = Ident::new("ctx", Span::call_site().located_at(spec.context_span));
    let function = &spec.function.sig.ident;
    let fields = spec.arguments.iter().map(|argument| {
        let name = &argument.name;
        quote! { self.#name }
    });
    let call = quote_spanned! { spec.output.span() => #function(#context, #(#fields),*).await };
    // The handler itself is what remains callable from outside for as long as it is deprecated.
    let allowed = spec.deprecated.as_ref().map(|_| quote! { #[allow(deprecated)] });
    quote! {
        #allowed
        async fn run(
            self,
            #context: &::forge::app::Ctx<Self::Kind>,
        ) -> ::core::result::Result<Self::Output, Self::Error> {
            #call
        }
    }
}
