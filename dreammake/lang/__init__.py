"""From text to a resolved Dreamfile: pure functions, and the only place that knows Lark and Jinja2."""
