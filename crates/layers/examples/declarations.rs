//! Prints the table of layers as JSON, for `tools/generate.py`.

use std::io;

use serde_json::{Value, json};

fn main() -> serde_json::Result<()> {
    let layers: Vec<Value> = layers::LAYERS
        .iter()
        .map(|layer| {
            json!({
                "name": layer.name,
                "class": layer.class,
                "summary": layer.summary,
                "phase": format!("{:?}", layer.phase).to_lowercase(),
                "stands_alone": layer.stands_alone,
                "positional": layer.positional,
                "schema": (layer.schema)(),
            })
        })
        .collect();
    serde_json::to_writer_pretty(
        io::stdout(),
        &json!({"layers": layers, "matching": layers::matching_schema()}),
    )
}
