//! What readers see of a recording.

#[path = "viewer/story.rs"]
mod story;

#[test]
fn look() {
    let folder = std::env::var("LOOK").unwrap();
    let recording = story::stale_read();
    std::fs::write(format!("{folder}/story.html"), recording.to_html()).unwrap();
    std::fs::write(format!("{folder}/story.svg"), recording.to_svg()).unwrap();
    std::fs::write(format!("{folder}/story.log"), recording.to_shiviz()).unwrap();
    recording.write(std::fs::File::create(format!("{folder}/story.jsonl")).unwrap()).unwrap();
}
