//! Plans as a whole: a few looked at line by line, many asked for what every plan has to keep.

mod generate;
mod golden;
mod hosts;
mod order;
