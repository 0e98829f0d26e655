//! What is written in more than one place is the same in all: the header, the version, the layout, the changelog.
//! `cli/tests/docs` checks the pages.

mod header;
mod readme;
mod versions;
