"""What Compare and Circuits share: two linked graphs and what is marked in them."""
