//! Applications without a name or with a folder that is not there.

mod missing {
    forge::app! { name = "taskboard", migrations = "../no_such_folder" } //~
}

mod unnamed {
    forge::app! {} //~
}

mod misspelt {
    forge::app! { name = "Task Board", migration = "../migrations" } //~ 2
}

fn main() {}
