//! What goes to standard output.

use std::io::Write;

/// Print, and do not mind a reader that has left: `rt list | head -1` is no error.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Columns as Go's tabwriter lays them out for runc: at least 12 wide, three spaces between them.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < N {
                let room = widths[column] - cell.chars().count();
                text.extend(std::iter::repeat_n(' ', room));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_runcs() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        assert_eq!(table(&[row(["ID", "PID", "OWNER"])]), "ID          PID         OWNER\n");
        let rows = [row(["ID", "PID", "OWNER"]), row(["a-long-name", "1", "root"])];
        assert_eq!(table(&rows), "ID            PID         OWNER\na-long-name   1           root\n");
    }
}
