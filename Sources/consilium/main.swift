print("consilium")
