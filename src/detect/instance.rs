//! Models that elements share by the name in `model-instance-id`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use super::settings::Settings;
use super::watcher::Watcher;
use super::worker::Worker;

/// A loaded model that serves every element of its name. It is unloaded when the last of them stops.
pub struct Instance {
    /// The thread with the model.
    pub worker: Arc<Worker<Watcher>>,
    /// The execution provider in use.
    pub active_provider: String,
    /// How many runs of a single frame take as long as one of a full batch: 1 where every run is filled up to one.
    pub probes_in_a_run: u32,
    /// The element that loaded it, for messages.
    first_element: String,
    /// What it was loaded with.
    settings: Settings,
}

impl Instance {
    /// A model that `first_element` has loaded.
    pub fn new(
        worker: Arc<Worker<Watcher>>,
        active_provider: String,
        probes_in_a_run: u32,
        first_element: &str,
        settings: Settings,
    ) -> Self {
        Self {
            worker,
            active_provider,
            probes_in_a_run,
            first_element: first_element.to_owned(),
            settings,
        }
    }

    /// What keeps `element` with `settings` from using this model, in words.
    fn conflict(&self, element: &str, settings: &Settings) -> Option<String> {
        let (name, here, there) = self.settings.first_difference(settings)?;
        Some(format!(
            "model-instance-id '{}' is shared by elements that do not agree: '{}' loaded it with {name}={here}, \
             '{element}' has {name}={there}. Give them the same value, or different ids",
            settings.load.model_instance_id.as_deref().unwrap_or_default(),
            self.first_element,
        ))
    }
}

type Slot = Arc<Mutex<Weak<Instance>>>;

/// Returns the model of that name, loading it if there is none.
///
/// # Errors
/// `load`'s own, or in words that the settings of the elements do not agree.
pub fn get<E: From<String>>(
    name: &str,
    element: &str,
    settings: &Settings,
    load: impl FnOnce() -> Result<Instance, E>,
) -> Result<Arc<Instance>, E> {
    static SLOTS: LazyLock<Mutex<HashMap<String, Slot>>> = LazyLock::new(Mutex::default);
    let slot = {
        let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
        // Names that nobody uses any more; a slot that is held elsewhere is being filled.
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.lock().is_ok_and(|instance| instance.strong_count() > 0)
        });
        slots.entry(name.to_owned()).or_default().clone()
    };
    // Loading takes long: only elements of the same name wait for it.
    let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(instance) = held.upgrade() {
        return match instance.conflict(element, settings) {
            Some(conflict) => Err(E::from(conflict)),
            None => Ok(instance),
        };
    }
    let instance = Arc::new(load()?);
    *held = Arc::downgrade(&instance);
    Ok(instance)
}
