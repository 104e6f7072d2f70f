//! The operator's own wording of mails: read from a folder, tried, and laid over what is built in.

use super::reader::Section;
use crate::mail::template::Templates;
use std::fs;
use std::io;
use std::path::Path;

/// The folders that may lie in it: a language each, and that for mails in both.
const FOLDERS: [&str; 3] = ["bilingual", "en", "ja"];
const ENDING: &str = ".tera";

/// Finds the operator's templates, where the file says or in `mail-templates` beside it, and reads them; without any there
/// are the built-in ones.
pub(super) fn read(root: &mut Section<'_>, folder: &Path) -> Option<Templates> {
    let given = root.value::<String>("templates_dir");
    let dir = folder.join(given.as_deref().unwrap_or("mail-templates"));
    let complain = |what: String| root.complain("templates_dir", what, None);
    let files = match texts(&dir) {
        Ok(files) => files,
        // Nothing was said about templates, so none need be there.
        Err((_, cause)) if given.is_none() && cause.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err((path, cause)) => {
            complain(format!("{path}: cannot be read: {cause}"));
            return None;
        }
    };
    Templates::new(files)
        .map_err(|faults| faults.iter().for_each(|fault| complain(format!("{}/{fault}", dir.display()))))
        .ok()
}

/// Reads every template in a folder, with its name as `ja/registration.body.tera`.
fn texts(dir: &Path) -> Result<Vec<(String, String)>, (String, io::Error)> {
    let failed = |path: &Path, cause| (path.display().to_string(), cause);
    fs::read_dir(dir).map_err(|cause| failed(dir, cause))?;
    let mut files = Vec::new();
    for folder in FOLDERS {
        let path = dir.join(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(failed(&path, cause)),
        };
        for entry in entries {
            let entry = entry.map_err(|cause| failed(&path, cause))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(ENDING) {
                let text = fs::read_to_string(entry.path()).map_err(|cause| failed(&entry.path(), cause))?;
                files.push((format!("{folder}/{name}"), text));
            }
        }
    }
    files.sort();
    Ok(files)
}
