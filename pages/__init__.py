"""Streamlit pages, one thin file each, and the code they share."""
