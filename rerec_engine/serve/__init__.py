"""The assistant behind an OpenAI-compatible server, with a one-page chat. `python -m rerec_engine.serve`."""
