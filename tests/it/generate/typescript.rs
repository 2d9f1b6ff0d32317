//! The generated `api.ts` before the TypeScript compiler, strict, together with the real client.

use std::fmt::Write;
use std::process::Command;

use forge_tests::workspace;

use super::{contract_of, zoo, zoo_files};

/// What applications may write, and what they may not.
const USE: &str = include_str!("use.ts");

/// Sensible projects have all of these on.
const OPTIONS: &str = r#""target": "es2022", "lib": ["es2022", "dom"], "module": "nodenext",
    "moduleResolution": "nodenext", "types": [], "strict": true, "exactOptionalPropertyTypes": true,
    "noUncheckedIndexedAccess": true, "verbatimModuleSyntax": true, "isolatedModules": true,
    "noUnusedLocals": true, "noEmit": true, "allowImportingTsExtensions": true"#;

#[test]
fn the_compiler_accepts_what_is_right_and_nothing_else() {
    let [api, ..] = zoo_files();
    let compiled = compile(&[("api.ts", &api.text), ("use.ts", USE), ("samples.ts", &samples())]);
    compiled.unwrap_or_else(|errors| panic!("tsc refuses:\n{errors}"));
}

#[test]
fn a_changed_argument_fails_the_type_check_of_its_callers() {
    let api = forge_ts::typescript::file(&contract_of(zoo::CHANGED));
    let errors =
        compile(&[("api.ts", &api), ("use.ts", USE)]).expect_err("`animal` is called `animalId` now");
    assert!(errors.contains("use.ts") && errors.contains("'animal' does not exist in type"), "{errors}");
}

/// What serde writes, as literals of the generated types. Brands exist for the compiler only, so literals go
/// without.
fn samples() -> String {
    let mut text = "import type * as zoo from \"./api.ts\";\n\n".to_owned();
    text.push_str(
        "type Wire<T> = zoo.Json extends T ? T : T extends { readonly __brand: string } ? string\n\
           : T extends object ? { [K in keyof T]: Wire<T[K]> } : T;\n",
    );
    for (index, (name, json)) in zoo::samples().iter().enumerate() {
        let name = name.replace('<', "<zoo.");
        writeln!(text, "export const sample{index}: Wire<zoo.{name}> = {json};")
            .expect("writing to a String");
    }
    text
}

/// Compiles the files; what the compiler says when it refuses them.
fn compile(files: &[(&str, &str)]) -> Result<(), String> {
    let client = workspace().join("forge-ts/client");
    let compiler = client.join("node_modules/typescript/bin/tsc");
    assert!(
        compiler.is_file(),
        "TypeScript is not installed: run `npm ci` in {}, or let tests/run do it",
        client.display()
    );
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("write a file");
    }
    let paths =
        format!(r#"{{ "@forge/client": ["{}"] }}"#, client.join("forge-client/src/index.ts").display());
    let config =
        format!("{{ \"compilerOptions\": {{ {OPTIONS}, \"paths\": {paths} }}, \"include\": [\"*.ts\"] }}");
    std::fs::write(folder.path().join("tsconfig.json"), config).expect("write the configuration");
    std::fs::write(folder.path().join("package.json"), r#"{ "type": "module" }"#)
        .expect("write the manifest");
    let output = Command::new("node").arg(compiler).arg("-p").arg(folder.path()).output();
    let output = output.unwrap_or_else(|error| {
        panic!("node cannot be run ({error}): install Node 20, or let tests/run do it")
    });
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stdout).into_owned()) }
}
