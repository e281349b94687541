"""The worker: everything between RunPod and SGLang; handler.py and engine.py start it."""
