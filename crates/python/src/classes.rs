//! The Python classes of the onion: `Layer`, from which each layer's class derives, and `Onion`, several at once.

use std::sync::Arc;

use layers::Built;
use onion::{Declaration, Handler, Layer, NotFound, OptionError, Supply, When, wrap_when};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use serde_json::{Map, Value};

use crate::inward::WsgiApplication;
use crate::options::{ConfigurationError, options_and_supply, python, supply};
use crate::outward;

/// One layer of the house. With an application inside it is a WSGI application; without one it is called with the
/// application, and gives the layer around it.
#[pyclass(name = "Layer", subclass, frozen, module = "onionskin._core")]
pub(crate) struct PyLayer {
    declaration: &'static Declaration,
    layer: Arc<dyn Layer>,
    when: When,
    /// As they were given, for whoever wants to show them.
    options: Py<PyDict>,
    inside: Inside,
}

/// What stands inside a layer.
enum Inside {
    /// Nothing yet: it waits for an application.
    Awaited,
    /// Nothing, and nothing is needed: the layer answers by itself, with this handler.
    Nothing(Arc<dyn Handler>),
    /// An application: shared with the handler (layer and application), so that the garbage collector sees all
    /// references that there are.
    Application(Arc<Py<PyAny>>, Arc<dyn Handler>),
}

#[pymethods]
impl PyLayer {
    /// `options` are the layer's options by name, or a layer of the same name, which is then shared.
    #[new]
    #[pyo3(signature = (app, name, options, /))]
    fn new(app: Option<&Bound<'_, PyAny>>, name: &str, options: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut layer = match options.cast::<PyLayer>() {
            Ok(shared) => shared.get().unbound(options.py()),
            Err(_) => PyLayer::build(name, options.cast::<PyDict>()?)?,
        };
        if let Some(app) = app {
            let (handler, application) = handler_of(app, layer.declaration.name)?;
            layer.inside = Inside::Application(application, layer.around(handler));
        }
        Ok(layer)
    }

    /// `(environ, start_response)` as an application; `(app)` without an application inside.
    #[pyo3(signature = (*args, **named))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (py, this) = (slf.py(), slf.get());
        let name = this.declaration.name;
        if let (Inside::Awaited | Inside::Nothing(_), 1, None) = (&this.inside, args.len(), named) {
            let app = args.get_item(0)?;
            return py.get_type::<PyLayer>().call_method1("__new__", (slf.get_type(), app, name, slf));
        }
        let Some(handler) = this.handler() else {
            let message = format!("{name}: there is no application inside; call the layer with one first");
            return Err(PyTypeError::new_err(message));
        };
        let (environ, start_response) = wsgi_arguments(args, named)?;
        outward::call(py, handler, &environ, &start_response)
    }

    /// The layer's name in configuration files and on the command line.
    #[getter]
    fn name(&self) -> &'static str {
        self.declaration.name
    }

    /// The options, as they were given.
    #[getter]
    fn options<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.options.bind(py).copy()
    }

    /// The application inside, or None.
    #[getter]
    fn app(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.application().map(|application| application.clone_ref(py))
    }

    /// The application may hold its layer again (`app.wsgi_app = Layer(app.wsgi_app)`): a cycle that can be collected.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.options)?;
        self.application().map_or(Ok(()), |application| visit.call(application))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let class = slf.get_type().name()?;
        match slf.get().application() {
            None => Ok(format!("<{class}>")),
            Some(application) => Ok(format!("<{class} around {}>", application.bind(slf.py()).repr()?)),
        }
    }
}

impl PyLayer {
    fn build(name: &str, given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let declaration = layers::declaration(name).map_err(refused)?;
        let (options, supply) = options_and_supply(given)?;
        PyLayer::of(declaration, options, supply, given)
    }

    /// A layer as the command line has it: `NAME:option=value,...`.
    pub(crate) fn from_text(py: Python<'_>, text: &str) -> PyResult<Self> {
        let (name, pairs) = onion::text_options::split(text).map_err(refused)?;
        let declaration = layers::declaration(name).map_err(refused)?;
        let options = layers::from_text(declaration, pairs).map_err(refused)?;
        let given = python(py, &Value::Object(options.clone()))?;
        PyLayer::of(declaration, options, supply(), given.cast::<PyDict>()?)
    }

    fn of(
        declaration: &'static Declaration,
        options: Map<String, Value>,
        supply: Supply,
        given: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let Built { layer, when } =
            supply.at_hand(|| layers::build(declaration, options)).map_err(refused)?;
        let options = given.copy()?.unbind();
        let built = PyLayer { declaration, layer, when, options, inside: Inside::Awaited };
        Ok(built.unbound(given.py()))
    }

    /// The same layer with no application inside.
    fn unbound(&self, py: Python<'_>) -> Self {
        let PyLayer { declaration, layer, when, options, .. } = self;
        let inside = if declaration.stands_alone {
            Inside::Nothing(self.around(Arc::new(NotFound)))
        } else {
            Inside::Awaited
        };
        let (layer, when, options) = (Arc::clone(layer), when.clone(), options.clone_ref(py));
        PyLayer { declaration, layer, when, options, inside }
    }

    /// The layer around `inside`.
    pub(crate) fn around(&self, inside: Arc<dyn Handler>) -> Arc<dyn Handler> {
        wrap_when(Arc::clone(&self.layer), self.when.clone(), inside)
    }

    fn handler(&self) -> Option<&Arc<dyn Handler>> {
        match &self.inside {
            Inside::Awaited => None,
            Inside::Nothing(handler) | Inside::Application(_, handler) => Some(handler),
        }
    }

    fn application(&self) -> Option<&Py<PyAny>> {
        match &self.inside {
            Inside::Application(application, _) => Some(application),
            _ => None,
        }
    }
}

/// All that is wrong with a layer's options. The applications that it names are not looked at.
pub(crate) fn problems(name: &str, given: &Bound<'_, PyDict>) -> PyResult<Vec<String>> {
    let declaration = layers::declaration(name).map_err(refused)?;
    let options = crate::options::options(given)?;
    let unseen = Supply::finding(|_| Ok(Arc::new(NotFound)));
    let problems = unseen.at_hand(|| layers::problems(declaration, options));
    Ok(problems.iter().map(|wrong| onion::masking::text(&format!("{name}: {wrong}")).into_owned()).collect())
}

fn refused(OptionError(message): OptionError) -> PyErr {
    ConfigurationError::new_err(onion::masking::text(&message).into_owned())
}

/// An application as a handler, and as the Python object that the handler holds.
type Taken = (Arc<dyn Handler>, Arc<Py<PyAny>>);

/// The handler that an application is: its own, if it is one of our layers around something, so that a nest of them
/// is one native chain; else a WSGI application.
pub(crate) fn handler_of(app: &Bound<'_, PyAny>, whose: &str) -> PyResult<Taken> {
    let object = Arc::new(app.clone().unbind());
    if let Ok(layer) = app.cast::<PyLayer>() {
        let overridden =
            !app.get_type().getattr("__call__")?.is(app.py().get_type::<PyLayer>().getattr("__call__")?);
        match layer.get().handler() {
            Some(handler) if !overridden => return Ok((Arc::clone(handler), object)),
            None if !overridden => {
                let name = layer.get().declaration.name;
                let message = format!("{whose}: {name} has no application inside; call it with one first");
                return Err(PyTypeError::new_err(message));
            }
            _ => {}
        }
    }
    if !app.is_callable() {
        let message =
            format!("{whose}: the application must be callable, not {}; options go by name", app.get_type());
        return Err(PyTypeError::new_err(message));
    }
    app.py().import("onionskin.interface")?.call_method1("check", (app, whose))?;
    Ok((Arc::new(WsgiApplication::new(Arc::clone(&object))), object))
}

/// Returns the two arguments of a WSGI call.
///
/// PEP 3333 has them positional. Type checkers let a layer take the place of a method such as Flask's `wsgi_app` only if
/// they may also be given by the names `environ` and `start_response`.
fn wsgi_arguments<'py>(
    args: &Bound<'py, PyTuple>,
    named: Option<&Bound<'py, PyDict>>,
) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyAny>)> {
    let Some(named) = named else { return args.extract() };
    let wrong = || PyTypeError::new_err("a WSGI application takes environ and start_response");
    if args.len() + named.len() != 2 {
        return Err(wrong());
    }
    let get = |index, name| match args.get_item(index) {
        Ok(value) => Ok(value),
        Err(_) => named.get_item(name)?.ok_or_else(wrong),
    };
    Ok((get(0, "environ")?.cast_into()?, get(1, "start_response")?))
}

/// Several layers, from the outside in: `Onion(A(), B())(app)` is `A()(B()(app))`.
///
/// Members may be layers without an application, and any other callable that takes an application and gives one.
#[pyclass(frozen, module = "onionskin._core")]
pub(crate) struct Onion {
    layers: Vec<Py<PyAny>>,
}

#[pymethods]
impl Onion {
    #[new]
    #[pyo3(signature = (*layers))]
    fn new(layers: &Bound<'_, PyTuple>) -> PyResult<Self> {
        for layer in layers.iter() {
            if !layer.is_callable() {
                let message =
                    format!("Onion: a layer must be callable with the application, not {}", layer.get_type());
                return Err(PyTypeError::new_err(message));
            }
        }
        Ok(Onion { layers: layers.iter().map(Bound::unbind).collect() })
    }

    /// Puts the layers around `app`.
    #[pyo3(signature = (app, /))]
    fn __call__<'py>(&self, py: Python<'py>, app: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.layers.iter().rev().try_fold(app, |inside, layer| layer.bind(py).call1((inside,)))
    }
}
